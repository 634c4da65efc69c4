"""Series over steps -> a line chart with bands, gaps, markers and a read-out."""

import json
import math
from collections.abc import Sequence

from lorascope.pages.frame import SIZE, drop, figure, percent, place, plot
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import number_text, position_text
from lorascope.pages.scale import Scale, linear_scale, log_scale
from lorascope.pages.series import NUM_COLORS, Marker, Parts, Point, Series, drawable, parts_of, thinned

_COLUMNS = 500  # pixel columns that a plot can tell apart; longer runs are thinned to their outline
_LONGEST_END_LABEL = 22
_LINE_PX = 17


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    log_y: bool = False,
    toggle: bool = False,
    markers: Sequence[Marker | tuple[float, str]] = (),
    title: str | Html | None = None,
    caption: str | Html | None = None,
    width: int | None = None,
    height: int = 300,
) -> Html:
    """Draw series over a common horizontal axis.

    Nothing vanishes: None leaves a gap, an isolated point is drawn as a dot, and a value without a place on
    the axis (NaN, infinity, 0 on a log axis) is marked at the bottom and counted in a note below.

    Args:
        series: The lines, at most 6 with a colour of their own.
        x_label: What the horizontal axis measures.
        y_label: What the vertical axis measures, with its unit.
        log_y: Start with a logarithmic vertical axis.
        toggle: Let the reader switch between linear and logarithmic; works without JavaScript.
        markers: Vertical lines with a label, (x, label).
        title: One line above the chart.
        caption: Small print below.
        width: Greatest width in px; None fills the page.
        height: Height of the plot in px.

    Returns:
        The figure.
    """
    marks = [Marker(*marker) for marker in markers]
    scales = [log_y, not log_y] if toggle else [log_y]
    plots = [_plot(series, log, marks, y_label, x_label, height) for log in scales]
    return figure(
        join(plots),
        y_label=y_label,
        x_label=x_label,
        title=title,
        caption=caption,
        legend=_legend(series) if len(series) > 1 else None,
        before=_toggle(log_y) if toggle else None,
        notes=_notes(series, log_y, toggle),
        width=width,
        height=height,
        data=_data(series),
    )


def _plot(
    series: Sequence[Series], log: bool, markers: Sequence[Marker], y_label: str, x_label: str, height: int
) -> Html:
    """One plot of all series on one kind of vertical axis."""
    all_parts = [parts_of(one, log=log) for one in series]
    points = [point for parts in all_parts for run in parts.runs for point in run]
    ends = [end for point in points for end in point[1:] if end is not None and drawable(end, log=log)]
    positions = [x for one in series for x in one.x] + [marker.x for marker in markers]
    x_scale = linear_scale(positions, about=8, snug=True)
    y_scale = log_scale(ends) if log else linear_scale(ends)
    colors = [_color(one, index) for index, one in enumerate(series)]
    drawn = list(zip(series, all_parts, colors, strict=True))
    # Bands first, then lines, then marks: no interval hides a line.
    drawing = join(
        [
            *(_bands(parts, color, x_scale, y_scale) for _, parts, color in drawn),
            *(_line(one, parts, color, x_scale, y_scale) for one, parts, color in drawn),
            *(_odd_marks(parts, x_scale) for parts in all_parts),
        ]
    )
    labels, right_ch = _end_labels(drawn, y_scale, height)
    empty = tag("span", "no value to draw", class_="ls-empty") if not points else Html("")
    return plot(
        drawing,
        x_scale=x_scale,
        y_scale=y_scale,
        label=f"{y_label} over {x_label}",
        description=" ".join(_summary(one, parts) for one, parts in zip(series, all_parts, strict=True)),
        markers=markers,
        over=join([labels, empty]),
        right_ch=right_ch,
        kind="ls-log" if log else "ls-linear",
    )


def _line(series: Series, parts: Parts, color: str, x_scale: Scale, y_scale: Scale) -> Html:
    """The runs of one series; a run of one point becomes a dot, because a line of length 0 is invisible."""
    line: list[str] = []
    dots: list[str] = []
    for run in parts.runs:
        kept = thinned(run, x_scale.low, x_scale.high, _COLUMNS)
        places = [f"{place(x_scale, point.x)} {drop(y_scale, point.y)}" for point in kept]
        if len(places) > 1 and series.style != "points":
            line.append(f"M{'L'.join(places)}")
        if len(places) == 1 or series.style in ("points", "marked"):
            # Round caps turn a stroke of length 0 into a dot that the stretched drawing cannot flatten.
            dots.extend(f"M{spot}h0" for spot in places)
    return join(
        [
            tag("path", d="".join(line), class_=f"ls-stroke ls-{series.style} {color}") if line else "",
            tag("path", d="".join(dots), class_=f"ls-dots ls-{series.style} {color}") if dots else "",
        ]
    )


def _bands(parts: Parts, color: str, x_scale: Scale, y_scale: Scale) -> Html:
    """The intervals of one series as filled outlines, broken where an end is missing."""
    outlines: list[str] = []
    for run in parts.runs:
        stretch: list[Point] = []
        for point in [*run, None]:
            if point is not None and point.low is not None and point.high is not None:
                stretch.append(point)
                continue
            if len(stretch) > 1:
                outlines.append(_outline(stretch, x_scale, y_scale))
            elif stretch:
                only = stretch[0]
                ends = (_clamped(y_scale, only.low), _clamped(y_scale, only.high))
                outlines.append(f"M{float(place(x_scale, only.x)) - 2:g} {ends[0]}h4V{ends[1]}h-4Z")
            stretch = []
    return tag("path", d="".join(outlines), class_=f"ls-band {color}") if outlines else Html("")


def _outline(stretch: list[Point], x_scale: Scale, y_scale: Scale) -> str:
    kept = thinned(stretch, x_scale.low, x_scale.high, _COLUMNS)
    upper = [f"{place(x_scale, point.x)} {_clamped(y_scale, point.high)}" for point in kept]
    lower = [f"{place(x_scale, point.x)} {_clamped(y_scale, point.low)}" for point in reversed(kept)]
    return f"M{'L'.join(upper + lower)}Z"


def _clamped(y_scale: Scale, end: float | None) -> str:
    """The end of an interval; on a log axis one that is not above 0 reaches down to the bottom."""
    return drop(y_scale, y_scale.low if end is None or (y_scale.log and end <= 0) else end)


def _odd_marks(parts: Parts, x_scale: Scale) -> Html:
    path = "".join(f"M{place(x_scale, x)} {SIZE}v-45" for x, _ in parts.odd)
    return tag("path", d=path, class_="ls-odd") if path else Html("")


def _end_labels(drawn: list[tuple[Series, Parts, str]], y_scale: Scale, height: int) -> tuple[Html, float]:
    """Names at the right end of the lines, pushed apart where they would meet; none where they do not fit."""
    ends = [
        (1 - y_scale.share(parts.runs[-1][-1].y), one.name, f"ls-{one.style} {color}")
        for one, parts, color in drawn
        if parts.runs
    ]
    if (
        len(drawn) < 2
        or len(drawn) > NUM_COLORS
        or any(len(name) > _LONGEST_END_LABEL for _, name, _ in ends)
    ):
        return Html(""), 0
    tops = _spread([top for top, _, _ in sorted(ends)], _LINE_PX / height)
    labels = [
        tag("span", name, class_=f"ls-end {color}", style=f"top:{percent(top)}", aria_hidden="true")
        for top, (_, name, color) in zip(tops, sorted(ends), strict=True)
    ]
    return join(labels), max((len(name) for _, name, _ in ends), default=0)


def _spread(tops: list[float], gap: float) -> list[float]:
    """Push labels apart to a least distance; those that would meet stand evenly around their middle."""
    groups: list[list[float]] = []
    for top in tops:
        groups.append([top])
        while len(groups) > 1 and _first(groups[-1], gap) < _first(groups[-2], gap) + len(groups[-2]) * gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_first(group, gap) + place * gap for group in groups for place in range(len(group))]


def _first(group: list[float], gap: float) -> float:
    """Where the first label of a group stands, so that none leaves the plot at either end."""
    extent = (len(group) - 1) * gap
    return max(0.0, min(sum(group) / len(group) - extent / 2, 1.0 - extent))


def _legend(series: Sequence[Series]) -> Html:
    """Names and colours; hidden where the lines carry their names."""
    fits = len(series) <= NUM_COLORS and all(len(one.name) <= _LONGEST_END_LABEL for one in series)
    entries = [
        tag("li", tag("span", class_=f"ls-swatch ls-{one.style} {_color(one, index)}"), one.name)
        for index, one in enumerate(series)
    ]
    return tag("ul", join(entries), class_="ls-legend ls-narrow-only" if fits else "ls-legend")


def _toggle(log_first: bool) -> Html:
    """Two radio buttons; the stylesheet shows the plot that is chosen, so no script is needed."""
    choices = [("Linear", "ls-pick-linear", not log_first), ("Log", "ls-pick-log", log_first)]
    buttons = [
        tag("label", tag("input", type="radio", name="axis", class_=kind, checked=chosen), text)
        for text, kind, chosen in choices
    ]
    # Its own form, so that equal names in two charts are two groups; "dialog" sends nothing anywhere.
    return tag("form", join(buttons), class_="ls-toggle", method="dialog", aria_label="Vertical axis")


def _notes(series: Sequence[Series], log_y: bool, toggle: bool) -> list[str]:
    notes = []
    for one in series:
        odd = parts_of(one, log=log_y or toggle).odd
        broken = [x for x, y in odd if not math.isfinite(y)]
        low = [x for x, y in odd if math.isfinite(y)]
        for places, why in ((broken, "not finite"), (low, "not above 0, so not on the log axis")):
            if places:
                what = "1 value is" if len(places) == 1 else f"{len(places):,} values are"
                where = ("at " if len(places) == 1 else "first at ") + position_text(places[0])
                notes.append(f"{one.name}: {what} {why}, {where}; marked at the bottom of the plot.")
    return notes


def _summary(series: Series, parts: Parts) -> str:
    """One sentence for those who hear the chart."""
    points = [point for run in parts.runs for point in run]
    if not points:
        return f"{series.name}: no value."
    lowest = min(points, key=lambda point: point.y)
    ends = f"from {number_text(points[0].y)} to {number_text(points[-1].y)}"
    least = f"lowest {number_text(lowest.y)} at {position_text(lowest.x)}"
    return f"{series.name}: {len(points):,} values, {ends}, {least}."


def _data(series: Sequence[Series]) -> str:
    """The points of the read-out as JSON; what has no place on the axis is text."""
    rows = []
    for index, one in enumerate(series):
        parts = parts_of(one, log=False)
        low, high = min(one.x, default=0.0), max(one.x, default=1.0)
        points = [
            point
            for run in parts.runs
            for point in thinned(run, low, high if high > low else low + 1, _COLUMNS)
        ]
        values: list[list[float | str]] = [
            [float(f"{number:.7g}") for number in point if number is not None] for point in points
        ]
        values += [[x, "not finite"] for x, _ in parts.odd]
        rows.append({"name": one.name, "color": _color(one, index), "points": values})
    return json.dumps(rows, allow_nan=False, separators=(",", ":"))


def _color(series: Series, index: int) -> str:
    number = series.color if series.color is not None else index + 1
    return f"ls-c{(number - 1) % NUM_COLORS + 1}"
