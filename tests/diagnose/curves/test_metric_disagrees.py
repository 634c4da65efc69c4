"""Loss up, task metric up: both are told, and neither is called the truth."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.rules import diagnose

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

STEPS = 180
FALLING = 2.0 * np.exp(-np.arange(STEPS) / 80)
AT = range(30, STEPS + 1, 30)
LOSS = [1.9, 1.6, 1.5, 1.6, 1.7, 1.8]  # best at step 90, ends 1.8 / 1.5 - 1 = 20 % above it
ACCURACY = [0.40, 0.50, 0.56, 0.62, 0.68, 0.73]
# Second differences of the accuracies: -.04, 0, 0, -.01; the mean of their squares is 0.0017 / 4, so the
# noise is sqrt(0.000425 / 6) = 0.0084, and 2.5 standard errors of a difference are 0.030.


def logged(accuracy: list[float], loss: list[float] = LOSS, name: str = "eval_accuracy") -> Evidence:
    measured = {name: dict(zip(AT, accuracy, strict=True))}
    return made_log(FALLING, dict(zip(AT, loss, strict=True)), metrics=measured, noise=0.02)


def found_in(evidence: Evidence) -> dict[str, dict[str, Any]]:
    return {one["rule"]: one for one in diagnose(evidence)["findings"]}


def test_a_loss_that_rises_while_accuracy_improves_is_told_with_both_winners() -> None:
    found = found_in(logged(ACCURACY))["metric_disagrees"]
    assert found["severity"] == "info" and "rose by 20.0% while accuracy improved" in found["title"]
    told = found["evidence"]
    assert (told["best_loss_step"], told["metric_best_step"], told["metric"]) == (90, 180, "accuracy")
    assert told["metric_noise"] == pytest.approx((0.000425 / 6) ** 0.5, rel=1e-6)
    assert (told["metric_at_best_loss"], told["metric_last"]) == (0.56, 0.73)
    assert "By loss step 90 wins (1.5), by accuracy step 180 (0.73; 0.56 at" in told["sentence"]
    assert found["action"].startswith("choose the criterion before looking again: by loss ship step 90, by")


def test_overfitting_keeps_its_severity_and_verdict_and_names_both_winners() -> None:
    with_metric, without = logged(ACCURACY), made_log(FALLING, dict(zip(AT, LOSS, strict=True)), noise=0.02)
    softened, plain = found_in(with_metric)["overfitting"], found_in(without)["overfitting"]
    assert softened["severity"] == plain["severity"] == "critical"
    assert diagnose(with_metric)["verdict"] == diagnose(without)["verdict"] == "overfitting"
    assert "by accuracy step 180" in softened["evidence"]["sentence"] and "accuracy" in softened["action"]
    assert "choose the criterion" in softened["action"] and "ship what was saved" in plain["action"]


def test_the_step_to_ship_says_that_the_metric_would_choose_another() -> None:
    assert "by accuracy it is step 180" in diagnose(logged(ACCURACY))["step_to_ship"]["why"]


@pytest.mark.parametrize(
    ("accuracy", "name"),
    [
        ([0.40, 0.50, 0.56, 0.55, 0.54, 0.53], "eval_accuracy"),  # it got worse, too
        ([0.40, 0.50, 0.56, 0.55, 0.54, 0.70], "eval_accuracy"),  # one lucky evaluation at the end
        ([0.40, 0.70, 0.56, 0.72, 0.55, 0.65], "eval_accuracy"),  # within its noise
        (ACCURACY, "eval_wer"),  # of errors, less is better
        (ACCURACY, "eval_perplexity_of_other_text"),
    ],
)
def test_no_improvement_beyond_noise_is_no_disagreement(accuracy: list[float], name: str) -> None:
    found = found_in(logged(accuracy, name=name))
    assert "metric_disagrees" not in found and "ship what was saved" in found["overfitting"]["action"]


def test_a_loss_that_rose_by_less_than_a_tenth_is_no_disagreement() -> None:
    # 1.62 / 1.5 - 1 = 8 %: overfitting is told as it was.
    found = found_in(logged(ACCURACY, [1.56, 1.52, 1.5, 1.53, 1.57, 1.62]))
    assert "overfitting" in found and "metric_disagrees" not in found


def test_too_few_values_of_a_metric_are_counted_and_not_judged() -> None:
    four = {"eval_rougeL": dict(zip(AT[2:], ACCURACY[2:], strict=True))}
    report = diagnose(made_log(FALLING, dict(zip(AT, LOSS, strict=True)), metrics=four, noise=0.02))
    reasons = {one["rule"]: one["reason"] for one in report["rules_not_run"]}
    assert reasons["metric_disagrees"] == "values of a task metric: 4 of rougeL; 5 are needed"


def test_a_metric_that_stays_where_it_was_seldom_seems_to_improve() -> None:
    # At most 5 % of 200: the chance of 17 or more is then 2 %.
    generator, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        alarms += "metric_disagrees" in found_in(logged((0.6 + generator.normal(0, 0.02, 6)).tolist()))
    assert alarms <= 10
