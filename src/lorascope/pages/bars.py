"""Counts and estimates -> bars: a histogram of many values, or one bar per name with its interval."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from lorascope.pages.frame import drop, figure, percent, place, plot, x_ticks
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import interval_text, number_text, position_text
from lorascope.pages.scale import Scale, linear_scale
from lorascope.pages.series import Marker


def histogram(
    counts: Sequence[int],
    edges: Sequence[float],
    *,
    x_label: str,
    y_label: str = "examples",
    markers: Sequence[Marker | tuple[float, str]] = (),
    title: str | Html | None = None,
    caption: str | Html | None = None,
    width: int | None = None,
    height: int = 200,
) -> Html:
    """Draw how many values fall between neighbouring edges.

    The height is the count, so edges should be evenly spaced; nothing is smoothed.

    Args:
        counts: Values in each bin, >= 0.
        edges: Ascending ends of the bins, one more than counts.
        x_label: What the values are, with their unit.
        y_label: What is counted.
        markers: Vertical lines with a label, (x, label), such as a length limit.
        title: One line above the chart.
        caption: Small print below.
        width: Greatest width in px; None fills the page.
        height: Height of the plot in px.

    Returns:
        The figure.
    """
    if len(edges) != len(counts) + 1 or any(left >= right for left, right in pairwise(edges)):
        raise ValueError(
            f"{len(counts)} counts need {len(counts) + 1} ascending edges, got {list(edges)[:9]}"
        )
    marks = [Marker(*marker) for marker in markers]
    x_scale = linear_scale([*edges, *(marker.x for marker in marks)], about=8, snug=True)
    y_scale = linear_scale(counts, about=4, zero=True)
    bars = [
        _bin(count, left, right, y_label, x_scale, y_scale)
        for count, (left, right) in zip(counts, pairwise(edges), strict=True)
        if count
    ]
    fullest = max(range(len(counts)), key=lambda index: counts[index], default=None)
    summary = f"{sum(counts):,} {y_label} in {len(counts)} bins."
    if fullest is not None:
        ends = f"{position_text(edges[fullest])} to {position_text(edges[fullest + 1])}"
        summary += f" Most, {counts[fullest]:,}, lie from {ends}."
    drawn = plot(
        join(bars),
        x_scale=x_scale,
        y_scale=y_scale,
        label=f"Histogram of {x_label}",
        description=summary,
        markers=marks,
    )
    return figure(
        drawn, y_label=y_label, x_label=x_label, title=title, caption=caption, width=width, height=height
    )


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float | None],
    lows: Sequence[float | None] | None = None,
    highs: Sequence[float | None] | None = None,
    *,
    x_label: str,
    marks: Literal["bars", "dots"] = "bars",
    reference: float | None = None,
    texts: Sequence[str] | None = None,
    colors: Sequence[int] | None = None,
    title: str | Html | None = None,
    caption: str | Html | None = None,
    width: int | None = None,
) -> Html:
    """Draw one bar, or one dot, per name with its interval, and the numbers beside it.

    Bars start at 0 and suit amounts; dots suit differences and estimates whose distance from 0 means little.

    Args:
        labels: One name per row.
        values: One value per row; None is shown as having none, a value that is not finite as such.
        lows: Lower ends of the intervals.
        highs: Upper ends of the intervals.
        x_label: What is measured, with its unit.
        marks: bars or dots.
        reference: Value of a vertical line to compare with, such as 0 for differences.
        texts: What to print beside each row in place of its numbers, such as the reason for a missing one.
        colors: Colour of each row, 1 to 6; 1 by default.
        title: One line above the chart.
        caption: Small print below.
        width: Greatest width in px; None fills the page.

    Returns:
        The figure.
    """
    lows, highs = lows or [None] * len(labels), highs or [None] * len(labels)
    colors = colors or [1] * len(labels)
    for column in (values, lows, highs, colors, texts or labels):
        if len(column) != len(labels):
            raise ValueError(f"{len(labels)} labels, but {len(column)} values beside them")
    shown = [v for v in (*values, *lows, *highs, reference) if v is not None and math.isfinite(v)]
    scale = linear_scale(shown, zero=marks == "bars")
    rows = []
    for index, (label, value, low, high) in enumerate(zip(labels, values, lows, highs, strict=True)):
        text = texts[index] if texts else _bar_text(value, low, high)
        drawing = _bar_marks(value, low, high, scale, marks, f"ls-c{colors[index]}")
        rows.append(_bar_row(label, value, text, join([_reference(scale, reference), drawing])))
    return tag(
        "figure",
        tag("div", title, class_="ls-figure-title") if title else "",
        tag("ul", join(rows), _bar_axis(scale), class_="ls-bars", aria_label=x_label),
        tag("div", x_label, class_="ls-x-label", aria_hidden="true"),
        tag("figcaption", caption) if caption else "",
        class_="ls-chart ls-bar-chart",
        style=f"--intervals:{max(1, len(scale.ticks) - 1)}" + (f";max-width:{width}px" if width else ""),
    )


def _bin(count: int, left: float, right: float, what: str, x_scale: Scale, y_scale: Scale) -> Html:
    top, ends = drop(y_scale, count), (place(x_scale, left), place(x_scale, right))
    hover = tag("title", f"{position_text(left)} to {position_text(right)}: {count:,} {what}")
    return tag("path", hover, d=f"M{ends[0]} 1000V{top}H{ends[1]}V1000Z", class_="ls-bin")


def _bar_row(label: str, value: float | None, text: str, drawing: Html) -> Html:
    """One row: name, marks, numbers. Those who hear it get the numbers without the marks."""
    missing = " ls-missing" if value is None else "" if math.isfinite(value) else " ls-broken"
    return tag(
        "li",
        tag("span", label, class_="ls-bar-label"),
        tag("span", drawing, class_="ls-track", aria_hidden="true"),
        tag("span", text, class_=f"ls-bar-value{missing}"),
        class_="ls-bar-row",
    )


def _reference(scale: Scale, value: float | None) -> Html:
    if value is None:
        return Html("")
    return tag("span", class_="ls-reference", style=f"left:{percent(scale.share(value))}")


def _bar_text(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "no value"
    return number_text(value, 3) if low is None or high is None else interval_text(value, low, high)


def _bar_marks(
    value: float | None, low: float | None, high: float | None, scale: Scale, marks: str, color: str
) -> Html:
    """The bar or dot of one row and the line of its interval."""
    if value is None or not math.isfinite(value):
        return Html("")
    at = scale.share(value)
    if marks == "bars":
        zero = scale.share(0.0)
        style = f"left:{percent(min(at, zero))};width:{percent(abs(at - zero))}"
        drawn = tag("span", class_=f"ls-bar {color}", style=style)
    else:
        drawn = tag("span", class_=f"ls-dot {color}", style=f"left:{percent(at)}")
    if low is None or high is None or not math.isfinite(high - low):
        return drawn
    start, end = scale.share(low), scale.share(high)
    style = f"left:{percent(start)};width:{percent(end - start)}"
    return join(
        [tag("span", class_=f"ls-whisker ls-on-{marks} {color}", style=style), drawn][:: _order(marks)]
    )


def _order(marks: str) -> int:
    """A whisker lies over its bar, but under its dot."""
    return -1 if marks == "bars" else 1


def _bar_axis(scale: Scale) -> Html:
    track = tag("span", x_ticks(scale), class_="ls-track")
    return tag("li", track, class_="ls-bar-row ls-bar-axis", aria_hidden="true")
