"""Noise whose neighbours are alike, and rules that must not take it for a trend."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.finding import Finding
from lorascope.diagnose.rules import apply_rules
from lorascope.diagnose.steps.divergence import divergence
from lorascope.diagnose.steps.wander import Wander, difference_stderr, wander, wander_of_part

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def autoregressive(generator: np.random.Generator, num: int, correlation: float, spread: float) -> np.ndarray:
    """x[i] = correlation x[i - 1] + e[i], of a standard deviation of `spread` from the first point on."""
    fresh = generator.normal(0.0, spread * np.sqrt(1 - correlation**2), num)
    drawn = np.empty(num)
    drawn[0] = generator.normal(0.0, spread)
    for index in range(1, num):
        drawn[index] = correlation * drawn[index - 1] + fresh[index]
    return drawn


def smoothed(generator: np.random.Generator, num: int, width: int, spread: float) -> np.ndarray:
    """A moving mean of `width` independent points, of a standard deviation of `spread`."""
    fresh = generator.normal(0.0, spread * np.sqrt(width), num + width - 1)
    return np.convolve(fresh, np.ones(width) / width, "valid")


def noises(kind: str, num_curves: int, lengths: tuple[int, ...]) -> list[np.ndarray]:
    """Curves of a noise of 10 to 30 %, named as "ar 0.8" or "mean 10"."""
    name, size = kind.split()
    drawn = []
    for seed in range(num_curves):
        generator = np.random.default_rng([seed, 11])
        num, spread = int(generator.choice(lengths)), generator.uniform(0.1, 0.3)
        drawn.append(
            autoregressive(generator, num, float(size), spread)
            if name == "ar"
            else smoothed(generator, num, int(size), spread)
        )
    return drawn


def test_points_that_are_alike_are_worth_fewer_independent_ones() -> None:
    # Of 3 points at 0.5 the variance of the mean is (3 + 4 * 0.5 + 2 * 0.25) / 9 = 5.5 / 9 of one point's.
    assert Wander(spread=1.0, seen=1.0, correlation=0.5).stderr(3) == pytest.approx(1.2533 * np.sqrt(5.5 / 9))
    assert Wander(spread=1.0, seen=1.0, correlation=0.0).stderr(100) == pytest.approx(0.12533)
    # (1 + 0.8) / (1 - 0.8) = 9: a mean strays three times as far.
    assert Wander(spread=1.0, seen=1.0, correlation=0.8).as_independent == pytest.approx(3.0)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 0.95])
def test_the_correlation_of_a_stretch_is_found(correlation: float) -> None:
    generator = np.random.default_rng(5)
    found = [wander_of_part(autoregressive(generator, 300, correlation, 0.2)).correlation for _ in range(100)]
    # The standard error of one estimate is sqrt((1 - rho^2) / 300), 0.06 at most, twice that for medians.
    assert np.median(found) == pytest.approx(correlation, abs=0.05)


def test_a_leap_and_a_fall_are_no_noise() -> None:
    time = np.arange(600) / 600
    logs = np.where(time < 0.8, 0.5 * np.exp(-12 * time), 1.2)
    found = wander(logs + np.random.default_rng(3).normal(0.0, 0.1, 600))
    assert found.spread == pytest.approx(0.1, rel=0.2) and found.correlation < 0.35


def test_what_strays_slowly_below_white_noise_is_seen_in_means_of_neighbours() -> None:
    # Neighbours differ by the white half alone, so that points seem hardly alike.
    generator = np.random.default_rng(1)
    slow, white = (
        autoregressive(generator, 2000, 0.98, 0.1),
        generator.normal(0.0, 0.1, 2000),
    )
    points = wander(slow + white)
    assert difference_stderr(slow + white, 200, 200) > 1.5 * np.sqrt(2) * points.stderr(200)


def test_few_points_tell_nothing_of_how_neighbours_are_alike() -> None:
    assert wander(np.geomspace(1.0, 2.0, 59)).correlation == 0.0


@pytest.mark.parametrize("kind", ["ar 0.5", "ar 0.8", "ar 0.95", "mean 10"])
def test_flat_curves_of_correlated_noise_seldom_diverge_or_fall_in_stairs(kind: str) -> None:
    # None of 400 simulations of each does either, at most 0.75 % (95 %): more than 3 of 60 once in 1,000.
    # With the errors of independent points 20 of 100 at 0.95 diverged and 13 fell in stairs.
    told = [
        {one.rule: one.severity for one in apply_rules(made_log(2.0 * np.exp(noise), epochs=3.0))[0]}
        for noise in noises(kind, 60, (300, 1000, 2000))
    ]
    assert sum("diverging" in one for one in told) <= 3
    assert sum("staircase" in one for one in told) <= 3


@pytest.mark.parametrize(("kind", "least"), [("ar 0.5", 40), ("ar 0.8", 40), ("mean 10", 40)])
def test_a_blow_up_is_seen_through_correlated_noise(kind: str, least: int) -> None:
    # From 1.05 to 4 in the last fifth, a rise of 1.3 in logs.
    found = []
    for noise in noises(kind, 40, (600,)):
        time = np.arange(len(noise)) / len(noise)
        losses = np.where(time < 0.8, 1 + 2 * np.exp(-12 * time), 4.0) * np.exp(0.5 * noise)
        found.append(divergence(made_log(losses)))
    assert sum(isinstance(one, Finding) for one in found) >= least
