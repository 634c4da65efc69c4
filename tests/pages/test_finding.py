"""Findings: evidence, cause, one action, and what would change the verdict."""

from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.finding import finding_card, status_badge

Parse = Callable[[str], Any]


def lines_of(root: Any) -> dict[str, str]:
    return {
        "".join(name.itertext()): "".join(value.itertext())
        for name, value in zip(root.iter("dt"), root.iter("dd"), strict=True)
    }


def test_a_card_answers_four_questions_in_order(parse: Parse) -> None:
    root = parse(
        finding_card("Loss rises", "warn", ["+0.04", "-0.03"], "Too many epochs", "Use step 330", "More rows")
    )
    assert lines_of(root) == {
        "Evidence": "+0.04-0.03",
        "Likely cause": "Too many epochs",
        "Do next": "Use step 330",
        "What would change this": "More rows",
    }
    assert len(list(root.iter("li"))) == 2
    assert "".join(next(root.iter("header")).itertext()) == "\u25c6 warningLoss rises"


def test_what_a_finding_does_not_know_is_left_out(parse: Parse) -> None:
    root = parse(finding_card("All well", "good", "0 of 500", None, None, None))
    assert lines_of(root) == {"Evidence": "0 of 500"}
    assert lines_of(parse(finding_card("All well", "good", [], None, None, None))) == {}


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("critical", "ls-critical", "critical"),
        ("warn", "ls-warn", "warning"),
        ("info", "ls-info", "info"),
        ("good", "ls-good", "good"),
        ("unknown", "ls-unknown", "not enough evidence"),
        ("passed", "ls-good", "passed"),
        ("failed", "ls-critical", "failed"),
    ],
)
def test_a_badge_is_readable_without_its_colour(parse: Parse, status: str, kind: str, words: str) -> None:
    (badge,) = parse(status_badge(status))
    assert kind in badge.attrib["class"].split()
    shape, text = "".join(badge.itertext()).split(" ", 1)
    assert shape
    assert text == words
    assert kind in finding_card("x", status, "y", None, None, None)


def test_a_status_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no status 'fine'"):
        status_badge("fine")
    with pytest.raises(ValueError, match="no status 'fine'"):
        finding_card("x", "fine", "y", None, None, None)


def test_hostile_findings_stay_text(parse: Parse, hostile: list[str]) -> None:
    for text in hostile:
        root = parse(finding_card(text, "info", [text], text, text, text) + status_badge("info", text))
        names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
        assert not names & {"script", "svg", "img", "style", "b"}
