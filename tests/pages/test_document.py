"""Whole pages: valid, self-contained, closed to foreign scripts, readable in light and dark."""

import base64
import hashlib
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from lorascope.pages.chart import Series, bar_chart, heat_strip, histogram, line_chart
from lorascope.pages.document import Html, document, escape, fragment, section
from lorascope.pages.finding import finding_card
from lorascope.pages.side_by_side import side_by_side
from lorascope.pages.table import key_values, table, tiles
from lorascope.pages.tokens import token_strip

Parse = Callable[[str], Any]
# What may make a browser ask for something: addresses outside the page, imports, and elements that load.
EXTERNAL = re.compile(
    r"""(https?:)?//[a-z]|@import|url\(|<(img|iframe|object|embed|base|video|audio)\b|\bsrc=""", re.I
)


def whole_page(text: str) -> Html:
    """A page with every piece on it, all saying the same text."""
    pieces = [
        tiles([(text, 1.5, text)]),
        table([text, "b"], [[text, 1.5]], caption=text),
        key_values([(text, text)]),
        line_chart(
            [Series(text, [0, 1], [1.0, 2.0])], x_label=text, y_label=text, toggle=True, markers=[(1, text)]
        ),
        histogram([1, 2], [0, 1, 2], x_label=text, title=text),
        bar_chart([text], [1.0], [0.5], [1.5], x_label=text),
        heat_strip([1.0, 2.0], label=text),
        token_strip([text], is_target=[True], ids=[1], label=text, stop_ids={1}),
        side_by_side(text, [(text, text, text)]),
        finding_card(text, "warn", [text], text, text, text),
    ]
    body = section("all", text, pieces, lead=text)
    return document(text, body=body, subtitle=text, nav=[("all", text)], footer=text)


def stylesheet() -> str:
    return resources.files("lorascope.pages").joinpath("style.css").read_text(encoding="utf-8")


def test_a_page_with_every_piece_is_valid_html(parse: Parse) -> None:
    root = parse(whole_page("a plain title"))
    assert root.find("head/title").text == "a plain title"
    assert len(root.findall("body/main/section")) == 1
    assert root.find("body/nav/a").attrib["href"] == "#all"


def test_a_page_asks_for_nothing() -> None:
    assert EXTERNAL.search(whole_page("a plain title")) is None


def test_hostile_text_changes_no_page(parse: Parse, hostile: list[str]) -> None:
    plain = [element.tag for element in parse(whole_page("plain")).iter()]
    for text in hostile:
        page = whole_page(text)
        root = parse(page)
        assert [element.tag for element in root.iter()] == plain
        assert not [name for element in root.iter() for name in element.attrib if str(name).startswith("on")]
        page.encode("utf-8")


def test_only_the_scripts_of_the_page_may_run(parse: Parse) -> None:
    root = parse(document("t", body=Html("<p>x</p>"), scripts=["let x = 1 < 2;"]))
    policy = next(m.attrib["content"] for m in root.iter("meta") if "http-equiv" in m.attrib)
    scripts = [script.text for script in root.iter("script")]
    assert scripts[-1] == "let x = 1 < 2;"
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_a_page_of_a_growing_run_loads_itself_again() -> None:
    assert '<meta http-equiv="refresh" content="5">' in document("t", body=[], refresh_s=5)
    assert 'http-equiv="refresh"' not in document("t", body=[])


def test_a_script_that_would_end_early_is_refused() -> None:
    with pytest.raises(ValueError, match="</script"):
        document("t", body=[], scripts=["'</SCRIPT>'"])


def test_a_body_may_be_one_piece_or_many_and_plain_text_is_escaped(parse: Parse) -> None:
    one, many = Html("<p>a</p>"), [Html("<p>a</p>"), Html("<p>b</p>")]
    assert "<p>a</p>" in document("t", body=one)
    assert "<p>a</p><p>b</p>" in section("s", "t", many)
    assert "&lt;p&gt;" in section("s", "t", escape("<p>"))
    parse(document("t", body=many))


def test_a_section_is_named_by_its_heading(parse: Parse) -> None:
    (found,) = parse(section("eval", "Numbers", [], lead="It works."))
    assert found.attrib["id"] == "eval"
    (heading,) = found.iter("h2")
    assert heading.attrib["id"] == found.attrib["aria-labelledby"]


def test_a_fragment_for_a_notebook_touches_nothing_around_it(parse: Parse) -> None:
    root = parse(fragment([tiles([("a", 1, "b")])]))
    assert [element.tag for element in root] == ["div"]
    # Every rule begins with one of our classes; the only exception names the page's own root.
    css = re.sub(r"/\*.*?\*/", "", stylesheet(), flags=re.S)
    for selectors in re.findall(r"(?:^|[{}])\s*([^{}@]+)\{", css):
        for selector in selectors.split(","):
            assert selector.strip().startswith((".ls", "html:has(> .ls-page)")), selector


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two colours."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        lights.append(0.2126 * r + 0.7152 * g + 0.0722 * b)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_every_colour_has_enough_contrast(theme: str) -> None:
    # WCAG AA: 4.5 for text, 3 for the parts of a chart.
    light, dark, paper = (
        colours(part) for part in re.split(r"@media \((?:prefers).*?\{|@media print", stylesheet())[:3]
    )
    found = {"light": light, "dark": dark, "print": paper}[theme]
    for ground in ("paper", "card"):
        for text in ("ink", "soft", "accent", "critical"):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
        for line in ("c1", "c2", "c3", "c4", "c5", "c6", "heat"):
            assert contrast(found[line], found[ground]) >= 3, (line, ground)
    for severity in ("critical", "warn", "info", "good", "unknown"):
        assert contrast(found[severity], found[f"{severity}-tint"]) >= 4.5, severity
    assert contrast(found["ink"], found["target"]) >= 4.5
    assert contrast(found["soft"], found["grid"]) >= 4.5  # small print on the prompt's ground
    for end_label in ("c1", "c2", "c3", "c4", "c5", "c6"):  # names at the ends of lines are text
        assert contrast(found[end_label], found["paper"]) >= 4.5, end_label


def test_the_resources_are_ascii() -> None:
    for name in ("style.css", "read_out.js", "zoom.js"):
        assert resources.files("lorascope.pages").joinpath(name).read_bytes().isascii()
