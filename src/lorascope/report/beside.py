"""Sections: what base and adapter say, side by side, and how far their predictions are apart."""

from lorascope.pages.beside import answers_section, distances_section
from lorascope.pages.markup import Html
from lorascope.report.facts import Facts

_SHOWN = 6


def generations_section(facts: Facts) -> Html | None:
    """Greedy answers to the first prompts; None before compare."""
    if not facts.generations:
        return None
    decoding = facts.generations[0]["decoding"]
    rows = [row for row in facts.generations if row["decoding"] == decoding]
    title = (
        "Before and after" if len(rows) <= _SHOWN else f"Before and after: {_SHOWN} of {len(rows)} prompts"
    )
    return answers_section("generations", title, rows[:_SHOWN], decoding)


def divergences_section(facts: Facts) -> Html | None:
    """Divergences; None before compare."""
    return None if facts.compare is None else distances_section(facts.compare, id="divergences")
