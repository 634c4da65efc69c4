"""Heat strips: shades in order, holes and broken values set apart."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.chart import heat_strip

Parse = Callable[[str], Any]


def cells(root: Any) -> list[dict[str, str]]:
    return [dict(rect.attrib) for rect in root.iter("rect")]


def test_shades_run_from_the_lowest_to_the_highest_value(parse: Parse) -> None:
    # 6 % for the lowest, 100 % for the highest, 53 % in the middle.
    found = cells(parse(heat_strip([1.0, 2.0, 3.0], label="norm")))
    assert [cell["fill-opacity"] for cell in found] == ["0.060", "0.530", "1.000"]
    assert [cell["x"] for cell in found] == ["0.00", "333.33", "666.67"]


def test_strips_compare_when_both_ends_are_given_and_values_beyond_them_are_capped(parse: Parse) -> None:
    found = cells(parse(heat_strip([0.0, 5.0, 20.0], label="norm", low=0.0, high=10.0)))
    assert [cell["fill-opacity"] for cell in found] == ["0.060", "0.530", "1.000"]


def test_missing_and_broken_values_are_set_apart_and_counted(parse: Parse) -> None:
    root = parse(heat_strip([1.0, None, math.nan, 2.0], label="norm", names=["a", "b", "c", "d"]))
    assert [cell["class"] for cell in cells(root)] == ["ls-cell", "ls-hole", "ls-bad", "ls-cell"]
    titles = [e.text for e in root.iter("title")]
    assert titles[1:] == ["a: 1.000", "b: no value", "c: not finite", "d: 2.000"]
    assert titles[0] == "norm: 4 cells from 1.000 to 2.000, 2 without a finite value"


def test_equal_values_and_no_values_still_draw(parse: Parse) -> None:
    assert cells(parse(heat_strip([2.0, 2.0], label="norm")))[0]["fill-opacity"] == "0.530"
    assert cells(parse(heat_strip([], label="norm"))) == []


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 values, but 2 names"):
        heat_strip([1.0], label="norm", names=["a", "b"])


def test_hostile_names_stay_text(parse: Parse, hostile: list[str]) -> None:
    root = parse(heat_strip([1.0] * len(hostile), label=hostile[0], names=hostile))
    names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
    assert names <= {"DOCUMENT_FRAGMENT", "figure", "svg", "title", "rect", "div", "span"}
