"""The noise of a logged curve, and which rise of it is none."""

import numpy as np
import pytest

from lorascope.diagnose.curves.logged import LoggedCurve, robust_noise, successive_noise


def curve_of(loss: np.ndarray) -> LoggedCurve:
    return LoggedCurve(step_E=np.arange(1, len(loss) + 1), loss_E=loss, noise=successive_noise(np.log(loss)))


def stay_above(curves: np.ndarray) -> int:
    """How many of some curves end above their best."""
    return sum(one.stays_above(one.best()) for one in map(curve_of, curves))


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
@pytest.mark.parametrize("num", [5, 6, 8, 12, 20])
def test_flat_curves_are_seldom_said_to_rise(num: int, noise: float) -> None:
    # 200,000 simulations of each give at most 2.0 %: 16 of 800, more than 29 once in 1,000.
    generator = np.random.default_rng([num, int(1000 * noise)])
    assert stay_above(1.5 * generator.lognormal(0.0, noise, (800, num))) <= 29


def test_the_bend_of_a_steep_start_is_no_noise() -> None:
    # 1 + exp(-8 t) falls from 1.45 to within 1 % of 1 in the first six of ten evaluations; planted are 0.4 %.
    t = np.arange(1, 11) / 10
    drawn = np.random.default_rng(0).lognormal(0.0, 0.004, (400, 10)) * (1.05 + np.exp(-8 * t))
    noises = [successive_noise(np.log(one)) for one in drawn]
    # The rest of the bend, 0.02 between the third and the fifth, adds a quarter to it.
    assert 0.004 <= np.median(noises) <= 0.006


def test_a_mild_rise_after_a_steep_fall_is_seen() -> None:
    # As logged, noise 0.4 %: the last two lie 1.8 and 3.6 % above the best; a median of all second
    # differences makes the noise 1.1 % of them, of which a difference would have to be 3.9 %.
    curve = curve_of(np.array([1.501, 1.256, 1.140, 1.087, 1.082, 1.073, 1.081, 1.094, 1.092, 1.112]))
    assert curve.stays_above(curve.best())
    # Planted: 6 % above its lowest point by the end. The rise of the last two is 12 of their standard errors.
    t = np.arange(1, 11) / 10
    planted = 1.05 + np.exp(-8 * t) + 0.15 * np.maximum(0, t - 0.4)
    assert stay_above(planted * np.random.default_rng(1).lognormal(0.0, 0.004, (100, 10))) >= 95


def test_a_curve_that_leapt_and_stayed_is_seen_and_one_that_came_back_is_not() -> None:
    leapt = np.array([1.51, 1.41, 1.38, 1.36, 1.34, 1.50, 1.499, 1.478])
    assert curve_of(leapt).stays_above(4)
    assert not curve_of(np.array([1.51, 1.41, 1.38, 1.36, 1.34, 1.50, 1.36, 1.345])).stays_above(4)


def test_a_noise_that_one_leap_must_not_widen_is_a_median() -> None:
    # First differences of +-2d and second ones of +-4d: 1.4826 * 4d / sqrt(6) is the larger of the two.
    logs = np.where(np.arange(11) % 2 == 0, 0.01, -0.01)
    expected = 1.4826 * 0.04 / 6**0.5
    assert robust_noise(logs) == pytest.approx(expected)
    logs[5:] += 1.0
    assert robust_noise(logs) == pytest.approx(expected)
