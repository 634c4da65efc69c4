"""Gaps, values without a place, and thinning that hides nothing."""

import math

import pytest

from lorascope.pages.series import Point, Series, parts_of, thinned


def test_none_is_a_gap_and_what_is_not_finite_is_set_aside() -> None:
    series = Series("loss", [0, 1, 2, 3, 4, 5], [1.0, 2.0, None, math.nan, math.inf, 3.0])
    parts = parts_of(series, log=False)
    assert [[(point.x, point.y) for point in run] for run in parts.runs] == [[(0, 1.0), (1, 2.0)], [(5, 3.0)]]
    assert [x for x, _ in parts.odd] == [3, 4]


def test_a_log_axis_sets_aside_what_is_not_above_zero() -> None:
    parts = parts_of(Series("loss", [0, 1, 2], [1.0, 0.0, -1.0]), log=True)
    assert parts.odd == [(1, 0.0), (2, -1.0)]


def test_every_value_is_drawn_set_aside_or_none() -> None:
    y = [None, 1.0, math.nan, None, 0.0, 2.0, None]
    parts = parts_of(Series("loss", range(7), y), log=True)
    assert sum(map(len, parts.runs)) + len(parts.odd) == sum(value is not None for value in y)


def test_half_an_interval_is_none() -> None:
    series = Series("loss", [0, 1, 2], [1.0, 1.0, 1.0], [0.5, None, 0.5], [1.5, 1.5, math.inf])
    (run,) = parts_of(series, log=False).runs
    assert [(point.low, point.high) for point in run] == [(0.5, 1.5), (None, None), (None, None)]


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 positions and 1 values"):
        Series("loss", [0, 1], [1.0])
    with pytest.raises(ValueError, match="one end"):
        Series("loss", [0], [1.0], low=[0.5])
    with pytest.raises(ValueError, match="position that is not finite"):
        Series("loss", [math.nan], [1.0])


def test_a_short_run_is_drawn_whole() -> None:
    run = [Point(x, 0.0, None, None) for x in range(20)]
    assert thinned(run, 0, 19, 10) is run


def test_thinning_keeps_every_extreme_of_every_column() -> None:
    # One spike in 100,000 steps, and one dip; each column of 1,000 steps keeps its own lowest and highest.
    run = [Point(x, math.sin(x), None, None) for x in range(100_000)]
    run[50_123] = Point(50_123, 9.0, None, None)
    run[70_001] = Point(70_001, -9.0, None, None)
    kept = thinned(run, 0, 99_999, 100)
    assert len(kept) <= 4 * 101
    assert [point.x for point in kept] == sorted(point.x for point in kept)
    assert (kept[0], kept[-1]) == (run[0], run[-1])
    assert extremes(kept) == extremes(run)


def extremes(points: list[Point]) -> dict[int, tuple[float, float]]:
    """The lowest and highest value of each of 100 columns."""
    columns: dict[int, list[float]] = {}
    for point in points:
        columns.setdefault(int(point.x / 99_999 * 100), []).append(point.y)
    return {column: (min(values), max(values)) for column, values in columns.items()}
