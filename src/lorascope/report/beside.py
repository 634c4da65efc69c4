"""Sections: what base and adapter say, side by side, and how far their predictions are apart."""

from lorascope.pages.document import section
from lorascope.pages.markup import Html
from lorascope.pages.side_by_side import side_by_side
from lorascope.report.facts import Facts


def generations_section(facts: Facts) -> Html | None:
    """Answers of base and adapter; None before compare."""
    return None


def divergences_section(facts: Facts) -> Html | None:
    """Divergences; None before compare."""
    return None
