"""Line charts: points stand where arithmetic puts them, and nothing vanishes."""

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.chart import Marker, Series, line_chart
from lorascope.pages.markup import Html

Parse = Callable[[str], Any]


def chart(*series: Series, **options: Any) -> Html:
    return line_chart(series, x_label="step", y_label="loss", **options)


def path(root: Any, kind: str) -> list[str]:
    return [element.attrib["d"] for element in root.iter("path") if kind in element.attrib["class"].split()]


def text_of(root: Any) -> str:
    return "".join(root.itertext())


def shares(root: Any, kind: str, side: str) -> list[float]:
    found = [e for e in root.iter("span") if kind in e.attrib.get("class", "").split()]
    return [float(re.search(rf"{side}:(-?[\d.]+)%", e.attrib["style"])[1]) for e in found]


def test_points_stand_where_arithmetic_puts_them(parse: Parse) -> None:
    # x runs from 0 to 10, y from 0 to 4 in steps of 1; units of 1000, y downwards:
    # (0, 4) is the upper left corner, (5, 1) is at 500 and 750, (10, 0) the lower right corner.
    root = parse(chart(Series("loss", [0, 5, 10], [4.0, 1.0, 0.0])))
    assert path(root, "ls-stroke") == ["M0 0L500 750L1000 1000"]


def test_on_a_log_axis_equal_factors_are_equal_distances(parse: Parse) -> None:
    root = parse(chart(Series("loss", [0, 1, 2], [1.0, 10.0, 100.0]), log_y=True))
    (line,) = path(root, "ls-stroke")
    tops = [float(part.split()[1]) for part in line[1:].split("L")]
    assert tops[0] - tops[1] == pytest.approx(tops[1] - tops[2], abs=0.11)  # one decimal each


def test_ticks_stand_on_a_rising_axis_at_their_values(parse: Parse) -> None:
    root = parse(chart(Series("loss", [0, 5, 10], [4.0, 1.0, 0.0])))
    assert shares(root, "ls-y", "top") == [100.0, 75.0, 50.0, 25.0, 0.0]
    assert shares(root, "ls-x", "left") == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    assert [e.text for e in root.iter("span") if e.attrib.get("class") == "ls-y"] == ["0", "1", "2", "3", "4"]


def test_none_leaves_a_gap_and_a_lone_point_becomes_a_dot(parse: Parse) -> None:
    root = parse(chart(Series("loss", [0, 1, 2, 3, 4], [4.0, 3.0, None, 2.0, None])))
    assert path(root, "ls-stroke") == ["M0 0L250 500"]
    assert path(root, "ls-dots") == ["M750 1000h0"]
    assert path(root, "ls-odd") == []


def test_what_is_not_finite_is_marked_and_counted(parse: Parse) -> None:
    root = parse(chart(Series("loss", [0, 1, 2, 3, 4], [4.0, math.nan, 3.0, math.inf, 2.0])))
    assert path(root, "ls-odd") == ["M250 1000v-45M750 1000v-45"]
    assert "loss: 2 values are not finite, first at 1; marked at the bottom" in text_of(root)


def test_what_has_no_place_on_a_log_axis_is_marked_and_counted(parse: Parse) -> None:
    markup = chart(Series("loss", [0, 1, 2], [1.0, 0.0, 100.0]), log_y=True)
    root = parse(markup)
    assert path(root, "ls-odd") == ["M500 1000v-45"]
    assert "loss: 1 value is not above 0, so not on the log axis, at 1" in text_of(root)


def test_a_chart_without_any_value_says_so(parse: Parse) -> None:
    for series in (
        [],
        [Series("loss", [], [])],
        [Series("loss", [1], [None])],
        [Series("loss", [1], [math.nan])],
    ):
        assert "no value to draw" in text_of(parse(chart(*series)))


def test_a_band_follows_its_ends_and_breaks_where_one_is_missing(parse: Parse) -> None:
    # y axis 0 to 4: upper ends 4, 3, lower ends 2, 1 -> tops 0, 250 and 500, 750; x from 0 to 3.
    series = Series(
        "loss", [0, 1, 2, 3], [3.0, 2.0, 2.0, 0.0], [2.0, 1.0, None, None], [4.0, 3.0, None, None]
    )
    assert path(parse(chart(series)), "ls-band") == ["M0 0L333.3 250L333.3 750L0 500Z"]


def test_the_axis_holds_the_intervals_and_the_markers(parse: Parse) -> None:
    series = Series("loss", [0, 1], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0])
    root = parse(chart(series, markers=[(4, "limit")]))
    (plot,) = [e for e in root.iter("div") if "ls-plot" in e.attrib.get("class", "")]
    assert plot.attrib["data-x"] == "0 4"
    assert plot.attrib["data-y"] == "0.0 2.0"
    assert path(root, "ls-marker") == ["M1000 0V1000"]


def test_labels_of_markers_never_share_a_row_where_they_would_meet(parse: Parse) -> None:
    markers = [Marker(x, f"a label at {x}") for x in (0, 30, 33, 35, 60, 99)]
    root = parse(chart(Series("loss", [0, 100], [1.0, 2.0]), markers=markers))
    labels = [e for e in root.iter("span") if "ls-marker-label" in e.attrib.get("class", "")]
    rows = {e.text: int(re.search(r"--row:(\d+)", e.attrib["style"])[1]) for e in labels}
    assert len({rows["a label at 30"], rows["a label at 33"], rows["a label at 35"]}) == 3
    (plot,) = [e for e in root.iter("div") if "ls-plot" in e.attrib.get("class", "")]
    assert f"--rows:{max(rows.values()) + 1}" in plot.attrib["style"]  # room for all of them


def test_names_at_the_ends_of_lines_keep_their_distance(parse: Parse) -> None:
    # Four lines that end close together near the bottom of a plot of 340 px; a line of text is 17 px, 5 % of
    # it.
    lines = [Series(f"run {i}", [0, 1], [10.0, 0.1 * i]) for i in range(4)]
    tops = shares(parse(chart(*lines, height=340)), "ls-end", "top")
    assert all(right - left >= 4.99 for left, right in itertools.pairwise(tops))
    assert max(tops) <= 100.0
    assert min(tops) >= 0.0


def test_several_lines_have_a_legend_and_one_line_needs_none(parse: Parse) -> None:
    one, two = Series("train", [0, 1], [1.0, 2.0]), Series("validation", [0, 1], [1.0, 2.0])
    legend = [e for e in parse(chart(one, two)).iter("ul") if "ls-legend" in e.attrib["class"]]
    assert [text_of(entry) for entry in legend[0]] == ["train", "validation"]
    assert "ls-legend" not in chart(one)


def test_a_series_keeps_the_colour_it_asks_for(parse: Parse) -> None:
    root = parse(chart(Series("a", [0, 1], [1.0, 2.0], color=4), Series("b", [0, 1], [1.0, 2.0])))
    classes = [e.attrib["class"] for e in root.iter("path") if "ls-stroke" in e.attrib["class"]]
    assert ["ls-c4" in classes[0], "ls-c2" in classes[1]] == [True, True]


def test_the_toggle_holds_both_axes_and_starts_with_the_asked_one(parse: Parse) -> None:
    series = Series("loss", [0, 1], [1.0, 100.0])
    for log_y in (False, True):
        root = parse(chart(series, log_y=log_y, toggle=True))
        plots = [e.attrib["class"] for e in root.iter("div") if "ls-plot" in e.attrib.get("class", "")]
        assert sorted(plots) == ["ls-plot ls-linear", "ls-plot ls-log"]
        checked = [e.attrib["class"] for e in root.iter("input") if "checked" in e.attrib]
        assert checked == ["ls-pick-log" if log_y else "ls-pick-linear"]
        assert len({e.attrib["name"] for e in root.iter("input")}) == 1  # one group
        assert len(list(root.iter("form"))) == 1


def test_those_who_hear_the_chart_get_its_numbers(parse: Parse) -> None:
    (svg,) = parse(chart(Series("loss", [0, 5, 10], [4.0, 1.0, 2.0]))).iter("svg")
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == (
        "loss over step. loss: 3 values, from 4.000 to 2.000, lowest 1.000 at 5."
    )


def test_the_read_out_holds_every_value_and_its_interval(parse: Parse) -> None:
    series = Series(
        "loss", [0, 1, 2, 3], [4.0, None, math.nan, 1.5], [3.0, None, None, 1.0], [5.0, None, None, 2.0]
    )
    (figure,) = parse(chart(series)).iter("figure")
    (row,) = json.loads(figure.attrib["data-series"])
    assert row["points"] == [[0.0, 4.0, 3.0, 5.0], [3.0, 1.5, 1.0, 2.0], [2, "not finite"]]


def test_a_long_log_stays_small_and_keeps_its_spike(parse: Parse) -> None:
    y = [2.0 + 0.001 * (step % 7) for step in range(50_000)]
    y[12_345] = 10.0
    markup = chart(Series("loss", range(50_000), y))
    assert (
        len(markup) < 150_000
    )  # drawn whole it would take 50,000 points of about 12 bytes, and the read-out more
    (line,) = path(parse(markup), "ls-stroke")
    # The axis ends at 10, so the spike reaches the top: 12345 / 49999 * 1000 = 246.9.
    assert "L246.9 0L" in line


def test_hostile_names_and_labels_stay_text(parse: Parse, hostile: list[str]) -> None:
    for text in hostile:
        series = [Series(text, [0, 1], [1.0, math.nan]), Series("b", [0, 1], [1.0, 2.0])]
        markup = line_chart(
            series, x_label=text, y_label=text, title=text, caption=text, markers=[(0.5, text)], toggle=True
        )
        root = parse(markup)
        names = {e.tag for e in root.iter() if isinstance(e.tag, str)}
        assert not names & {"script", "img", "style", "b"}
        assert len(list(root.iter("svg"))) == 2
        assert not [name for e in root.iter() for name in e.attrib if str(name).startswith("on")]
