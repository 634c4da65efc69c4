"""Axes: every value fits, order is kept, marks are round."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lorascope.pages.number import tick_texts
from lorascope.pages.scale import linear_scale, log_scale, nice_step

finite = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)
positive = st.floats(1e-6, 1e9)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_every_value_fits_a_linear_axis_in_order(values: list[float], snug: bool) -> None:
    scale = linear_scale(values, snug=snug)
    shares = [scale.share(value) for value in sorted(values)]
    assert all(-1e-6 <= share <= 1 + 1e-6 for share in shares)
    assert all(left <= right for left, right in itertools.pairwise(shares))
    assert all(left < right for left, right in itertools.pairwise(scale.ticks))
    assert all(-1e-6 <= scale.share(tick) <= 1 + 1e-6 for tick in scale.ticks)
    assert len(scale.ticks) <= 8  # 5 wanted intervals, one more at either end, and the fence post


@example([999999999.9921875])  # a mark within rounding of the end of the axis stood outside it
@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(positive, min_size=1, max_size=20))
def test_every_value_above_zero_fits_a_log_axis_in_order(values: list[float]) -> None:
    scale = log_scale(values)
    shares = [scale.share(value) for value in sorted(values)]
    assert all(0 <= share <= 1 for share in shares)
    assert all(left <= right for left, right in itertools.pairwise(shares))
    assert all(0 <= scale.share(tick) <= 1 for tick in scale.ticks)


def test_a_linear_axis_ends_at_round_numbers() -> None:
    # Span 4.4 over at most 5 intervals: 4.4 / 5 = 0.88, so the step is 1.
    scale = linear_scale([0.3, 4.7])
    assert (scale.low, scale.high, scale.ticks) == (0.0, 5.0, (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    assert scale.share(2.5) == 0.5


def test_a_snug_axis_ends_at_its_values_and_marks_whole_steps() -> None:
    scale = linear_scale([1, 3], snug=True, about=8)
    assert (scale.low, scale.high, scale.ticks) == (1, 3, (1.0, 2.0, 3.0))


@example([1.7e308, -1.7e308, 5e-324])
@example([1.0, 1.0 + 2**-52])
@example([1e-320, 2e-320])
@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_no_finite_value_breaks_an_axis(values: list[float]) -> None:
    for scale in (linear_scale(values), linear_scale(values, snug=True), log_scale(values)):
        assert scale.low < scale.high
        assert len(scale.ticks) <= 40
        assert all(math.isfinite(scale.share(value)) for value in values if value > 0 or not scale.log)
        assert len(tick_texts(scale.ticks)) == len(scale.ticks)


def test_an_axis_for_bars_holds_zero() -> None:
    assert linear_scale([3.0, 4.0], zero=True).low == 0.0
    assert linear_scale([-3.0, -4.0], zero=True).high == 0.0


def test_equal_values_and_no_values_still_have_an_axis() -> None:
    assert 0 < linear_scale([2.0, 2.0]).share(2.0) < 1
    assert 0 < linear_scale([0.0]).share(0.0) < 1
    assert (linear_scale([]).low, linear_scale([]).high) == (0.0, 1.0)
    assert log_scale([]).ticks == (1.0, 2.0, 5.0, 10.0)
    assert 0 < log_scale([3.0]).share(3.0) < 1


def test_equal_factors_are_equal_distances_on_a_log_axis() -> None:
    scale = log_scale([0.01, 100.0])
    distances = [scale.share(10 * value) - scale.share(value) for value in (0.01, 0.1, 1.0, 10.0)]
    assert distances == pytest.approx([distances[0]] * 4)
    assert scale.ticks == (0.01, 0.1, 1.0, 10.0, 100.0)


def test_a_log_axis_leaves_out_what_it_cannot_show() -> None:
    scale = log_scale([-1.0, 0.0, 1.0, 50.0])
    assert 0 < scale.low < 1.0
    assert scale.ticks == (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def test_a_short_log_axis_is_marked_evenly() -> None:
    assert log_scale([1.0, 5.0]).ticks == (1.0, 2.0, 3.0, 4.0, 5.0)


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(1e-12, 1e12), st.integers(1, 12))
def test_a_nice_step_is_the_smallest_round_one_that_suffices(span: float, about: int) -> None:
    step = nice_step(span, about)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(mantissa == pytest.approx(factor) for factor in (1, 2, 2.5, 5, 10))
    assert step * about >= span * (1 - 1e-6)
    assert step / 2.51 * about < span  # neighbours are at most a factor 2.5 apart
