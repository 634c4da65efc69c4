"""Windows of a curve against scipy's filters and plain loops."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from lorascope.diagnose.steps.local import lower_bounds, medians_at, pooled, spreads_at


def noisy(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0.0, 0.5, num)


@pytest.mark.parametrize("num", [1, 5, 33, 34, 200, 70_000])
def test_centred_medians_are_those_of_scipy(num: int) -> None:
    values = noisy(num)
    found = medians_at(values, np.arange(num), -16, 16)
    np.testing.assert_array_equal(found, median_filter(values, size=33, mode="nearest"))


def test_medians_and_spreads_of_the_past_leave_the_point_itself_out() -> None:
    values = noisy(300)
    for at in (64, 100, 299):
        before = np.sort(values[at - 64 : at])
        centre = before[32]  # the upper of the two in the middle
        past = values[at - 64 : at]  # less the slope between the medians of its halves, 32 points apart
        slope = (np.sort(past[32:])[16] - np.sort(past[:32])[16]) / 32
        rest = past - slope * np.arange(64)
        away = min(np.sort(np.abs(one - np.sort(one)[32]))[32] for one in (past, rest))
        assert medians_at(values, np.array([at]), -64, -1) == [centre]
        assert spreads_at(values, np.array([at]), -64, -1) == [pytest.approx(1.4826 * away)]


@pytest.mark.parametrize("width", [1, 2, 33, 64, 500])
def test_no_median_of_the_neighbourhood_lies_below_its_bound(width: int) -> None:
    values, every = noisy(400, seed=width), np.arange(400)
    bounds = lower_bounds(values, width)
    assert (medians_at(values, every, -width, -1) >= bounds).all()
    assert (medians_at(values, every, -(width // 2), width // 2) >= bounds).all()


def test_no_point_asked_for_is_no_median() -> None:
    assert len(medians_at(noisy(10), np.empty(0, dtype=int), -3, -1)) == 0


def test_steps_of_few_tokens_become_points_of_enough() -> None:
    # Before each of six steps of 16: 0, 16, 32, ... tokens, two to each 32. A step of 40 stays as it is.
    found = pooled(np.array([1.0, 3, 2, 4, 6, 8, 5]), np.array([16.0, 16, 16, 16, 8, 24, 40]), 32)
    assert found.tolist() == [2, 3, (8 * 6 + 24 * 8) / 32, 5]


def test_steps_of_enough_tokens_stay_what_they_are() -> None:
    values = noisy(50)
    np.testing.assert_array_equal(pooled(values, np.full(50, 32.0), 32), values)
