import sys
from pathlib import Path

import numpy as np

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.steps.divergence import divergence

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def test_ten_points_that_climb_thirtyfold_diverge() -> None:
    found = divergence(made_log(np.geomspace(1.0, 30.0, 10)))
    assert isinstance(found, Finding) and found.severity == "critical"


def test_a_blow_up_early_that_stays_is_seen_in_a_short_log() -> None:
    losses = np.concatenate([[1.4], np.full(59, 9.0)])
    found = divergence(made_log(losses, noise=0.05))
    assert isinstance(found, Finding) and found.evidence["opening"] < 1.6
    assert "learning rate 6.7e-05" in found.action  # a third of 2e-4


def test_a_blow_up_from_which_the_loss_recovers_is_no_divergence() -> None:
    losses = np.concatenate([np.full(30, 2.0), np.full(10, 8.0), np.full(60, 1.8)])
    assert divergence(made_log(losses, noise=0.05)) is None


def test_a_leap_at_once_that_ends_above_the_first_loss_is_a_divergence() -> None:
    # 4.95, then up to 20, at the end 6.3: 1.27 times the first loss, and never back there.
    leap = 4.95 + 15 * np.exp(-np.arange(33) / 4)
    found = divergence(made_log([4.95, *np.maximum(leap, 6.3)], noise=0.08))
    assert isinstance(found, Finding) and found.severity == "critical"
    back = divergence(made_log([4.95, *np.maximum(leap - 2.0, 4.0)], noise=0.08))
    assert back is None  # it came back to below its first loss


def test_the_title_names_the_lowest_place_that_the_loss_rose_from() -> None:
    losses = np.concatenate([2.2 - 1.2 * np.arange(60) / 60, np.full(60, 7.2)])
    found = divergence(made_log(losses, noise=0.01))
    # Not 2.2, its first loss: the median of the lowest 12 points, 1.0 to 1.24 (a tenth of 120 points).
    assert isinstance(found, Finding) and "from 1.1" in found.title


def test_noisy_flat_and_falling_curves_do_not_diverge() -> None:
    for length in (12, 40, 120, 400):
        flat, falling = np.full(length, 2.0), 2.0 * np.exp(-np.arange(length) / length)
        for seed in range(40):
            assert divergence(made_log(flat, noise=0.25, seed=seed)) is None
            assert divergence(made_log(falling, noise=0.25, seed=seed)) is None


def test_a_policy_loss_is_not_judged_by_its_height() -> None:
    found = divergence(made_log(np.geomspace(1e-6, 1e-2, 50), more={"reward": 0.5}))
    assert isinstance(found, NotRun) and "rewards are logged" in found.reason
