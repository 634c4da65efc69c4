"""Escaping: whatever a dataset holds, it is shown and never run."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.pages.markup import Html, escape, join, tag


def test_hostile_text_stays_text(parse: Callable[[str], Any], hostile: list[str]) -> None:
    for text in hostile:
        root = parse(tag("p", text, title=text))
        (paragraph,) = root
        assert paragraph.tag == "p"
        assert list(paragraph) == []  # no element came out of the text
        assert set(paragraph.attrib) == {"title"}
        assert paragraph.text == paragraph.attrib["title"]


def test_what_a_browser_would_drop_or_obey_is_shown_as_its_code_point() -> None:
    assert escape("a\x00b") == "a[U+0000]b"
    assert escape("\x1b[31m") == "[U+001B][31m"
    assert escape("\u202e") == "[U+202E]"
    assert escape("\x9b\x7f\r") == "[U+009B][U+007F][U+000D]"
    assert escape("\ud800\uffff") == "[U+D800][U+FFFF]"


def test_line_breaks_tabs_and_other_scripts_pass_unchanged() -> None:
    text = "a\n\tb \u5317\u4eac \u0645\u0631\u062d\u0628\u0627 \u05d0\u200f \U0001f600"
    assert escape(text) == text


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_any_text_can_be_written_and_holds_no_markup(text: str) -> None:
    written = escape(text)
    written.encode("utf-8")
    assert not set("<>\"'") & set(written)


def test_markup_is_not_escaped_twice_and_plain_text_beside_it_is() -> None:
    assert tag("p", tag("b", "x"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"
    assert join(["<", Html("<br>"), ">"], " & ") == "&lt; &amp; <br> &amp; &gt;"


def test_adding_text_to_markup_takes_its_safety_away() -> None:
    # Html("<b>") + "<i>" is a plain str again, so the whole of it is escaped.
    assert escape(Html("<b>") + "<i>") == "&lt;b&gt;&lt;i&gt;"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"class_": "a", "data_x": 1}, '<i class="a" data-x="1"></i>'),
        ({"hidden": True, "title": None, "checked": False}, "<i hidden></i>"),
        ({"name": "<"}, '<i name="&lt;"></i>'),
    ],
)
def test_attributes_are_written_by_their_html_names(attributes: dict[str, Any], expected: str) -> None:
    assert tag("i", **attributes) == expected


def test_void_elements_have_no_end_tag() -> None:
    assert tag("br") == "<br>"
