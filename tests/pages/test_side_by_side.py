"""Answers beside each other, whatever they hold."""

from collections.abc import Callable
from typing import Any

from lorascope.pages.side_by_side import side_by_side

Parse = Callable[[str], Any]


def test_answers_keep_their_order_and_their_notes(parse: Parse) -> None:
    root = parse(
        side_by_side("Why?", [("Base", "No.\nYes.", "2 tokens"), ("Adapter", "Because.", None)], label="7")
    )
    answers = list(root.iter("section"))
    assert ["".join(answer.itertext()) for answer in answers] == ["BaseNo.\nYes.2 tokens", "AdapterBecause."]
    texts = [e for e in root.iter("div") if e.attrib.get("class") == "ls-text"]
    assert [e.text for e in texts] == ["Why?", "No.\nYes.", "Because."]
    assert {e.attrib["dir"] for e in texts} == {"auto"}  # Arabic reads from the right, beside English


def test_an_empty_answer_says_so(parse: Parse) -> None:
    text = "".join(parse(side_by_side(" ", [("Base", "\n", None)])).itertext())
    assert "(empty prompt)" in text
    assert "(empty answer)" in text


def test_hostile_answers_stay_text(parse: Parse, hostile: list[str]) -> None:
    root = parse(side_by_side(hostile[0], [(text, text, text) for text in hostile], label=hostile[1]))
    names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
    assert names <= {"DOCUMENT_FRAGMENT", "article", "section", "h4", "div", "p"}
