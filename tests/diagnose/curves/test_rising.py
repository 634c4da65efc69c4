"""Curves of other trainers that rise: with the training loss, without one, and over few evaluations."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.points import logged_run
from lorascope.diagnose.rules import diagnose

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

STEPS = 200
FALLING = 2.0 * np.exp(-np.arange(STEPS) / 80)
DIP = np.array(
    [1.9, 1.6, 1.4, 1.3, 1.25, 1.27, 1.32, 1.37, 1.42, 1.47]
)  # best at step 100; last 17.6 % above
SETTLING = 1.2 + np.exp(-np.arange(STEPS) / 15)
CLIMBING = SETTLING + 0.0025 * np.maximum(0, np.arange(STEPS) - 70)  # from 1.2 to 1.52, 27 % above


def every(values: Any) -> dict[int, float]:
    """Evaluation losses at equal distances, the last at the last step."""
    values = list(values)
    return {STEPS // len(values) * (index + 1): float(one) for index, one in enumerate(values)}


def judged(evidence: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    report = diagnose(evidence)
    return report, {one["rule"]: one for one in report["findings"]}


def bare_log(evals: dict[int, float]) -> Evidence:
    """A log of evaluations and nothing else."""
    entries = [{"step": step, "eval_loss": loss} for step, loss in evals.items()]
    return log_evidence(logged_run(entries, path=Path("log.jsonl"), form="JSONL"), "log.jsonl")


def test_evaluation_and_training_that_rise_together_diverge() -> None:
    report, found = judged(made_log(CLIMBING, every(DIP), noise=0.03))
    assert report["verdict"] == "diverging" and "both rise since step 100" in report["verdict_reason"]
    assert found["diverging"]["evidence"]["share"] == pytest.approx(1.47 / 1.25 - 1)
    assert "healthy_decline" not in found and report["health"]["score"] <= 25


def test_an_evaluation_that_rises_over_a_flat_training_loss_is_no_decline_and_has_no_name() -> None:
    report, found = judged(made_log(np.full(STEPS, 1.2) + np.exp(-np.arange(STEPS) / 10), every(DIP)))
    assert "healthy_decline" not in found and report["verdict"] == "not_enough_evidence"
    assert "cannot be told apart" in report["verdict_reason"]
    assert found["overfitting"]["evidence"]["shown"] is False and "fell" not in found["overfitting"]["title"]


def test_a_training_loss_that_climbs_steadily_by_a_quarter_is_warned_of() -> None:
    report, found = judged(made_log(CLIMBING, noise=0.03))
    assert report["verdict"] == "diverging" and found["diverging"]["severity"] == "warn"
    assert found["diverging"]["evidence"]["above_best"] == pytest.approx(0.24, abs=0.05)


def test_a_climb_while_evaluation_falls_is_harder_examples() -> None:
    report, found = judged(made_log(CLIMBING, every(2.0 * 0.97 ** np.arange(10)), noise=0.03))
    assert "diverging" not in found and report["verdict"] == "still_improving"


def test_a_single_jump_to_harder_examples_is_no_climb() -> None:
    harder = SETTLING + np.where(np.arange(STEPS) < 120, 0.0, 0.3)
    assert "diverging" not in judged(made_log(harder, noise=0.03))[1]


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.25])
def test_flat_and_settling_curves_seldom_seem_to_rise(spread: float) -> None:
    generator = np.random.default_rng(7)
    for seed in range(60):
        noisy = generator.lognormal(0.0, 0.01, 10)
        for losses in (np.full(STEPS, 1.3), SETTLING):
            assert "diverging" not in judged(made_log(losses, noise=spread, seed=seed))[1]
            evals = every(1.4 * noisy)
            assert "diverging" not in judged(made_log(losses, evals, noise=spread, seed=seed))[1]


def test_three_evaluations_each_above_the_one_before_are_overfitting() -> None:
    evals = {60: 1.10, 120: 1.25, 200: 1.60}  # 45 % in two rises
    report, found = judged(made_log(FALLING, evals, noise=0.02))
    assert report["verdict"] == "overfitting" and found["overfitting"]["severity"] == "critical"
    assert report["step_to_ship"]["step"] == 60  # as the finding says
    assert "from 1.1 to 1.6" in report["verdict_reason"] and "still_improving" not in found
    assert "5 are needed to know its noise" in found["overfitting"]["how_sure"]
    assert not any("train longer" in one["action"] for one in report["findings"])


def test_four_evaluations_that_rise_are_overfitting_too() -> None:
    assert judged(made_log(FALLING, every([1.10, 1.12, 1.25, 1.60])))[0]["verdict"] == "overfitting"


def test_two_evaluations_are_told_and_not_judged() -> None:
    report, found = judged(made_log(FALLING, {100: 1.1, 200: 1.6}, noise=0.02))
    assert report["verdict"] == "not_enough_evidence" and found["overfitting"]["severity"] == "warn"
    assert "from 1.1 to 1.6 over 2 evaluations; 5 are needed" in report["verdict_reason"]
    assert not any("train longer" in one["action"] for one in report["findings"])


def test_a_small_rise_of_few_evaluations_is_told_in_the_reason() -> None:
    report, found = judged(made_log(FALLING, {60: 1.10, 120: 1.12, 200: 1.115}, noise=0.02))
    assert report["verdict"] == "not_enough_evidence" and "still_improving" not in found
    assert "evaluation went from 1.1 to 1.115 over 3 of them" in report["verdict_reason"]


def test_few_evaluations_that_fall_are_told_beside_the_training_loss() -> None:
    report, _ = judged(made_log(FALLING, {60: 1.5, 120: 1.3, 200: 1.2}, noise=0.02))
    assert report["verdict"] == "still_improving"
    assert "evaluation fell from 1.5 to 1.2 over 3 evaluations" in report["verdict_reason"]


def test_eight_training_points_are_enough_beside_eight_evaluations() -> None:
    losses, evals = [1.13, 0.8, 0.6, 0.45, 0.33, 0.25, 0.2, 0.15], [1.2, 1.1, 1.08, 1.12, 1.2, 1.3, 1.45, 1.6]
    report, _ = judged(made_log(losses, dict(enumerate(evals, 1))))
    assert report["verdict"] == "overfitting" and "48.1%" in report["verdict_reason"]  # 1.6 / 1.08


def test_a_training_that_is_never_better_than_its_base_ships_nothing() -> None:
    entries: list[dict[str, Any]] = [{"step": 0, "eval_loss": 1.0}]
    for step in range(1, STEPS + 1):
        entries.append({"step": step, "loss": float(FALLING[step - 1])})
        if step % 20 == 0:
            entries.append({"step": step, "eval_loss": 1.0 + step / 400})
    evidence = log_evidence(logged_run(entries, path=Path("log.jsonl"), form="JSONL"), "log.jsonl")
    report, found = judged(evidence)
    assert report["verdict"] == "overfitting" and "since step 0" in report["verdict_reason"]
    assert "ship no adapter" in found["overfitting"]["action"]


def test_a_rise_without_any_training_loss_leads_the_reason() -> None:
    report, _ = judged(bare_log(every(DIP)))
    assert report["verdict"] == "not_enough_evidence" and report["health"]["score"] <= 60
    assert "rose by 17.6% since step 100; no training loss is logged" in report["verdict_reason"]


def test_stairs_without_evaluations_are_not_told_to_train_longer() -> None:
    stairs = 2.0 * 0.8 ** (np.arange(STEPS) // 40)
    report, found = judged(made_log(stairs, noise=0.03, epochs=5.0))
    assert report["verdict"] == "plateau" and "still_improving" not in found


def test_flat_because_the_rate_ran_out_is_healthy_and_said_so() -> None:
    evals = every([1.9, 1.6, 1.5, 1.503, 1.501, 1.504, 1.502, 1.503])
    rate = np.where(np.arange(STEPS) < 100, 2e-4, 0.0)
    report, found = judged(made_log(FALLING, evals, noise=0.02, rate=rate))
    assert report["verdict"] == "healthy" and "learning rate has run out" in report["verdict_reason"]
    assert found["plateau"]["action"].startswith("measure what it gained")


# Harder examples at the end: from 1.2 to 1.9 at step 151, and there it stays.
HARDER = np.where(np.arange(STEPS) < 150, SETTLING, 1.9)


def test_a_training_loss_that_leaps_while_evaluation_falls_to_its_best_is_no_divergence() -> None:
    falling = [2.2, 1.9, 1.7, 1.55, 1.45, 1.4, 1.36, 1.33, 1.31, 1.3]
    report, found = judged(made_log(HARDER, every(falling), noise=0.03))
    assert "diverging" not in found and report["verdict"] in ("healthy", "still_improving")


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({}, id="nobody evaluated"),
        pytest.param(every([2.2, 1.9, 1.7, 1.6, 1.55, 1.5, 1.5, 1.9, 2.0, 2.1]), id="evaluation rose too"),
        pytest.param({20: 2.2, 60: 1.9, 100: 1.7, 140: 1.5}, id="the last evaluation stands before the leap"),
    ],
)
def test_the_same_leap_diverges_where_no_evaluation_at_the_end_denies_it(told: dict[int, float]) -> None:
    report, _ = judged(made_log(HARDER, told, noise=0.03))
    assert report["verdict"] == "diverging"
