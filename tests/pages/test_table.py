"""Tables: headings for every cell, numbers to the right, and no value that pretends to be one."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.markup import Html
from lorascope.pages.table import key_values, table, tiles

Parse = Callable[[str], Any]


def rows_of(root: Any) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def test_numbers_stand_right_and_words_left(parse: Parse) -> None:
    root = parse(
        table(
            ["name", "value", "interval", "note"], [["a", 1.5, "4.1 [4.0, 4.2]", "x"], ["b", None, "-3 %", 7]]
        )
    )
    heads = [cell.attrib["class"] for cell in root.iter("th") if cell.attrib["scope"] == "col"]
    assert heads == ["ls-left", "ls-right", "ls-right", "ls-left"]
    assert rows_of(root)[1:] == [["a", "1.500", "4.1 [4.0, 4.2]", "x"], ["b", "no value", "-3 %", "7"]]


def test_a_column_can_be_told_where_to_stand(parse: Parse) -> None:
    root = parse(table(["a", "b"], [["x", 1]], align=[None, "center"]))
    assert [cell.attrib["class"] for cell in root.iter("td")] == ["ls-center ls-number"]


def test_the_first_cell_names_its_row(parse: Parse) -> None:
    root = parse(table(["a", "b"], [["x", "y"]], caption="What changed"))
    assert [cell.text for cell in root.iter("th") if cell.attrib["scope"] == "row"] == ["x"]
    (box,) = [e for e in root.iter("div") if e.attrib.get("role") == "region"]
    assert (box.attrib["aria-label"], box.attrib["tabindex"]) == ("What changed", "0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "no value"),
        (math.nan, "not finite"),
        (math.inf, "not finite"),
        (True, "yes"),
        (1234567, "1,234,567"),
        ("nan", "nan"),
        (Html("<b>x</b>"), "x"),
    ],
)
def test_values_are_written_for_people(parse: Parse, value: object, text: str) -> None:
    for markup in (
        table(["a", "b"], [["x", value]]),
        key_values([("b", value)]),
        tiles([("b", value, "note")]),
    ):
        assert text in "".join(parse(markup).itertext())


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        table(["a", "b"], [["x"]])
    with pytest.raises(ValueError, match="zip"):
        table(["a", "b"], [["x", "y"]], align=["left"])


def test_a_table_without_rows_keeps_its_headings(parse: Parse) -> None:
    assert rows_of(parse(table(["a", "b"], []))) == [["a", "b"]]


def test_hostile_cells_stay_text(parse: Parse, hostile: list[str]) -> None:
    markup = table([hostile[0], "b"], [[text, text] for text in hostile], caption=hostile[1])
    root = parse(
        markup + key_values([(text, text) for text in hostile]) + tiles([(hostile[0], hostile[1], "")])
    )
    names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
    assert not names & {"script", "svg", "img", "style", "b"}
