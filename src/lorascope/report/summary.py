"""The five sentences and the tiles: the page's first screen, and what a notebook shows of a run."""

from lorascope.pages.document import fragment
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.table import tiles
from lorascope.report.facts import Facts, gather_facts
from lorascope.report.sentences import five_sentences
from lorascope.run.folder import RunFolder


def first_screen(facts: Facts) -> Html:
    """Five sentences, then the few numbers they speak of."""
    sentences = tag("div", *(tag("p", sentence, class_="ls-lead") for sentence in five_sentences(facts)))
    return join([sentences, _tiles(facts)])


def summary_fragment(run: RunFolder) -> Html:
    """The first screen for a notebook."""
    facts = gather_facts(run)
    return fragment([tag("h2", facts.name), first_screen(facts)])


def _tiles(facts: Facts) -> Html:
    items: list[tuple[str, object, str]] = []
    base, adapter = facts.base, facts.adapter
    if base and adapter:
        items.append(("Perplexity", adapter["perplexity"], f"base {_shown(base['perplexity'])}"))
        items.append(("Bits per byte", adapter["bits_per_byte"], f"base {_shown(base['bits_per_byte'])}"))
        if adapter["answers"] and base["answers"]:
            own, other = adapter["answers"]["exact_match"], base["answers"]["exact_match"]
            items.append(("Exact match", f"{own['estimate']:.0%}", f"base {other['estimate']:.0%}"))
    if facts.diagnose:
        items.append(("Verdict", facts.diagnose["verdict"].replace("_", " "), "see Findings"))
    return tiles(items) if items else Html("")


def _shown(value: float | None) -> str:
    from lorascope.pages.number import number_text

    return "no value" if value is None else number_text(value)
