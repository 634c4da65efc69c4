"""Histograms and bars: lengths, zero lines and the rows that have no value."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.chart import bar_chart, histogram

Parse = Callable[[str], Any]


def styles(root: Any, kind: str) -> list[tuple[float, ...]]:
    found = [e for e in root.iter("span") if kind in e.attrib.get("class", "").split()]
    return [tuple(float(n) for n in re.findall(r"(-?[\d.]+)%", e.attrib["style"])) for e in found]


def texts(root: Any, kind: str) -> list[str]:
    return ["".join(e.itertext()) for e in root.iter("span") if kind in e.attrib.get("class", "").split()]


def test_bins_are_as_high_as_their_counts(parse: Parse) -> None:
    # Counts up to 8 on an axis to 8; edges 0 to 40: heights 4/8, 8/8; the empty bin draws nothing.
    root = parse(histogram([4, 8, 0, 2], [0, 10, 20, 30, 40], x_label="tokens"))
    drawn = [e.attrib["d"] for e in root.iter("path") if e.attrib["class"] == "ls-bin"]
    assert drawn == ["M0 1000V500H250V1000Z", "M250 1000V0H500V1000Z", "M750 1000V750H1000V1000Z"]


def test_a_histogram_says_what_it_holds(parse: Parse) -> None:
    root = parse(histogram([4, 8, 0, 2], [0, 10, 20, 30, 40], x_label="tokens"))
    (svg,) = root.iter("svg")
    assert svg.attrib["aria-label"] == (
        "Histogram of tokens. 14 examples in 4 bins. Most, 8, lie from 10 to 20."
    )
    assert "10 to 20: 8 examples" in [e.text for e in root.iter("title")]


def test_a_marker_beyond_the_last_edge_is_still_in_view(parse: Parse) -> None:
    root = parse(histogram([4], [0, 10], x_label="tokens", markers=[(20, "max_length")]))
    assert [e.attrib["d"] for e in root.iter("path") if e.attrib["class"] == "ls-marker"] == ["M1000 0V1000"]
    assert [e.attrib["d"] for e in root.iter("path") if e.attrib["class"] == "ls-bin"] == [
        "M0 1000V0H500V1000Z"
    ]


def test_edges_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 counts need 3 ascending edges"):
        histogram([1, 2], [0, 1], x_label="tokens")
    with pytest.raises(ValueError, match="ascending"):
        histogram([1, 2], [0, 2, 1], x_label="tokens")


def test_a_histogram_of_nothing_is_an_empty_plot(parse: Parse) -> None:
    assert "0 examples in 0 bins" in histogram([], [0], x_label="tokens")
    parse(histogram([], [0], x_label="tokens"))


def test_bars_start_at_zero_on_either_side(parse: Parse) -> None:
    # Values -2 and 4: step 2 (6 over at most 5 intervals), axis -2 to 4, zero at a third.
    root = parse(bar_chart(["a", "b"], [-2.0, 4.0], x_label="nats"))
    assert styles(root, "ls-bar") == [(0.0, 33.33), (33.33, 66.67)]


def test_intervals_span_from_end_to_end(parse: Parse) -> None:
    # Axis 0 to 10 for a highest end of 9 (9 / 5 = 1.8, so steps of 2).
    root = parse(bar_chart(["a"], [8.0], [7.0], [9.0], x_label="perplexity"))
    assert styles(root, "ls-whisker") == [(70.0, 20.0)]
    assert texts(root, "ls-bar-value") == ["8.0 [7.0, 9.0]"]  # half-width 1: two digits of it


def test_dots_need_no_zero_but_show_the_reference(parse: Parse) -> None:
    root = parse(bar_chart(["a"], [0.5], [0.25], [1.0], x_label="gain", marks="dots", reference=0.0))
    assert styles(root, "ls-dot") == [(50.0,)]
    assert styles(root, "ls-reference") == [(0.0,)]
    assert styles(parse(bar_chart(["a", "b"], [5.0, 6.0], x_label="x", marks="dots")), "ls-dot") == [
        (0.0,),
        (100.0,),
    ]


def test_a_row_without_a_value_says_so_and_draws_nothing(parse: Parse) -> None:
    root = parse(bar_chart(["a", "b", "c"], [1.0, None, math.nan], x_label="x"))
    assert texts(root, "ls-bar-value") == ["1.00", "no value", "not finite"]
    assert len(styles(root, "ls-bar")) == 1
    reasons = bar_chart(["a", "b"], [1.0, None], x_label="x", texts=["1", "no target token"])
    assert texts(parse(reasons), "ls-bar-value") == ["1", "no target token"]


def test_a_chart_of_no_bars_is_still_a_chart(parse: Parse) -> None:
    parse(bar_chart([], [], x_label="x"))


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels, but 1 values"):
        bar_chart(["a", "b"], [1.0], x_label="x")


def test_hostile_labels_stay_text(parse: Parse, hostile: list[str]) -> None:
    root = parse(bar_chart(hostile, [1.0] * len(hostile), x_label=hostile[0], title=hostile[1]))
    names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
    assert names <= {"DOCUMENT_FRAGMENT", "figure", "div", "ul", "li", "span"}
    assert texts(root, "ls-bar-label")[0] == hostile[0]
