import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.steps.staircase import staircase

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def test_a_fall_in_stairs_is_measured() -> None:
    # 5 epochs of 40 steps, each 20 % below the one before, flat inside.
    found = staircase(made_log(2.0 * 0.8 ** (np.arange(200) // 40), noise=0.03, epochs=5.0))
    assert isinstance(found, Finding) and found.evidence["num_boundaries"] == 4
    assert found.evidence["mean_drop"] == pytest.approx(0.20, abs=0.02)
    assert abs(found.evidence["mean_fall_inside"]) < 0.02


def test_a_smooth_fall_has_no_stairs() -> None:
    smooth = 2.0 * np.exp(-np.arange(200) / 120)
    assert [
        seed for seed in range(30) if staircase(made_log(smooth, noise=0.05, seed=seed, epochs=5.0))
    ] == []


def test_a_smooth_fall_with_few_points_an_epoch_seldom_has_stairs() -> None:
    # At 3 standard errors and without the share of a smooth fall, 7 of these 200 were called stairs;
    # simulation gives at most 2 % now: 4 are expected at the most, more than 8 once in fifty.
    smooth = 1 + np.exp(-3 * np.arange(1, 101) / 100)
    found = [staircase(made_log(smooth, noise=0.08, seed=seed, epochs=10.0)) for seed in range(200)]
    assert sum(isinstance(one, Finding) for one in found) <= 4


def test_a_flat_curve_has_no_stairs() -> None:
    flat = np.full(200, 2.0)
    alarms = [seed for seed in range(50) if staircase(made_log(flat, noise=0.1, seed=seed, epochs=5.0))]
    assert alarms == []


def test_two_boundaries_are_needed() -> None:
    found = staircase(made_log(np.full(100, 2.0), epochs=2.0))
    assert isinstance(found, NotRun) and found.reason.startswith("1 boundary between epochs")
