"""What a line chart draws: named series, their gaps and the points that no line can show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

NUM_COLORS = 6
Style = Literal["line", "dashed", "faint", "marked", "points"]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    """Finite positions, usually steps."""
    y: Sequence[float | None]
    """Values; None leaves a gap, NaN and infinities become marks on the axis."""
    low: Sequence[float | None] | None = None
    """Lower ends of the intervals, with `high`; drawn as a band."""
    high: Sequence[float | None] | None = None
    style: Style = "line"
    """line; dashed; faint (raw values under a smoothed line); marked (line and dots); points (dots alone)."""
    color: int | None = None
    """1 to 6, so that a thing keeps its colour from chart to chart; None takes the place in the chart."""

    def __post_init__(self) -> None:
        """Refuse columns that do not fit together."""
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.name!r} has one end of its intervals only")
        for column in (self.y, self.low, self.high):
            if column is not None and len(column) != len(self.x):
                raise ValueError(f"series {self.name!r} has {len(self.x)} positions and {len(column)} values")
        if not all(math.isfinite(position) for position in self.x):
            raise ValueError(f"series {self.name!r} has a position that is not finite")


class Marker(NamedTuple):
    """A vertical line with a label, such as the best step."""

    x: float
    label: str


class Point(NamedTuple):
    """One drawable point of a series; the ends of its interval where it has them."""

    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Parts:
    """A series cut at its gaps."""

    runs: list[list[Point]]
    """Stretches of neighbouring points that a line may join."""
    odd: list[tuple[float, float]]
    """(x, y) of values without a place on this axis: NaN, infinities, on a log axis what is not above 0."""


def parts_of(series: Series, *, log: bool) -> Parts:
    """Cut a series at its gaps and set aside what cannot be drawn.

    Args:
        series: The series.
        log: Whether the axis is logarithmic.

    Returns:
        Its runs and its odd values; no value is in neither, except None.
    """
    runs: list[list[Point]] = [[]]
    odd: list[tuple[float, float]] = []
    for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if y is not None and drawable(y, log=log):
            low, high = _end(series.low, index), _end(series.high, index)
            # Half an interval is none: a reader could take it for a whole one.
            runs[-1].append(Point(x, y, low, high) if None not in (low, high) else Point(x, y, None, None))
            continue
        if y is not None:
            odd.append((x, y))
        if runs[-1]:
            runs.append([])
    return Parts([run for run in runs if run], odd)


def drawable(value: float, *, log: bool) -> bool:
    """Whether a value has a place on an axis.

    Args:
        value: Any float.
        log: Whether the axis is logarithmic.

    Returns:
        True for finite values, above 0 on a log axis.
    """
    return math.isfinite(value) and (value > 0 or not log)


def thinned(run: list[Point], x_low: float, x_high: float, columns: int) -> list[Point]:
    """Leave out what no screen can show: of each column the first, lowest, highest and last point stay.

    The outline stays exact: a spike of one step in a million is still drawn at its full height.

    Args:
        run: Neighbouring points.
        x_low: Left end of the axis.
        x_high: Right end of the axis.
        columns: Columns of the screen, a few hundred.

    Returns:
        The run itself when it is short, else at most 4 points per column and visit to it.
    """
    if len(run) <= 2 * columns:
        return run
    kept: list[Point] = []
    column_points: list[Point] = []
    current = -1
    for point in run:
        column = int((point.x - x_low) / (x_high - x_low) * columns)
        if column != current and column_points:
            kept.extend(_outline(column_points))
            column_points = []
        current = column
        column_points.append(point)
    return kept + _outline(column_points)


def _outline(points: list[Point]) -> list[Point]:
    places = range(len(points))
    lowest = min(places, key=lambda place: points[place].y)
    highest = max(places, key=lambda place: points[place].y)
    return [points[place] for place in sorted({0, lowest, highest, len(points) - 1})]


def _end(column: Sequence[float | None] | None, index: int) -> float | None:
    """One end of an interval; an infinite or missing end draws no band there."""
    value = None if column is None else column[index]
    return value if value is not None and math.isfinite(value) else None
