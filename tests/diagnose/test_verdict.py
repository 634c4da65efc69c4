"""Runs whose truth is planted, and the verdicts that follow from how they were made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.verdict import VERDICTS

from .synthetic import altered

Synthetic = Callable[..., Evidence]
Curve = Callable[..., list[float]]


def finding(report: dict[str, Any], rule: str) -> dict[str, Any]:
    return next(one for one in report["findings"] if one["rule"] == rule)


def test_a_fall_that_has_come_to_rest_at_the_end_of_its_schedule_is_healthy(
    synthetic: Synthetic, falling_curve: Curve
) -> None:
    # 4,000 rows that stray by 0.03: SE of a change is 0.03 * sqrt(2) * sqrt((1 + cv^2) / 4000) = 0.0009 with
    # 1 + cv^2 = e^0.49, and 0.5 % of 0.8 is 0.004: four SE, so flat can be shown. From evaluation 17 on
    # the curve has 0.5 e^(-17/3) = 0.002 to go, and the median learning rate is 8 % of its peak: annealed.
    curve = falling_curve(21)
    report = diagnose(synthetic(curve, curve, rows=4000, spread=0.03, schedule="linear"))
    assert report["verdict"] == "healthy" and "the learning rate has run out" in report["verdict_reason"]
    assert finding(report, "healthy_decline")["severity"] == "info"


def test_annealed_and_flat_is_healthy_flat_at_full_rate_is_a_plateau(synthetic: Synthetic) -> None:
    # A fall in the first evaluations, then exactly nothing for eight.
    curve = [0.0, -0.3, -0.5] + [-0.6] * 9
    stuck = diagnose(synthetic(curve, curve, rows=1500, spread=0.02))
    assert stuck["verdict"] == "plateau" and not finding(stuck, "plateau")["evidence"]["annealed"]
    evidence = synthetic(curve, curve, rows=1500, spread=0.02)
    ended = np.where(evidence.steps.step <= 80, 2e-4, 1e-5)
    annealed = diagnose(altered(evidence, learning_rate=ended))
    assert annealed["verdict"] == "healthy" and finding(annealed, "plateau")["evidence"]["annealed"]


def test_a_steady_fall_is_still_improving(synthetic: Synthetic) -> None:
    # 0.04 nats per evaluation, 0.12 over the window: 10 % of the loss and some fifteen standard errors.
    curve = [-0.04 * index for index in range(12)]
    report = diagnose(synthetic(curve, curve))
    assert report["verdict"] == "still_improving"
    assert "--set train.epochs=2.2" in finding(report, "still_improving")["action"]  # twice 1.1


def test_a_fall_that_has_turned_is_not_still_improving(synthetic: Synthetic) -> None:
    # The newest four still end 0.04 below where they began, but the last two rise.
    validation = [*(-0.04 * index for index in range(9)), -0.42, -0.40, -0.38]
    report = diagnose(synthetic(validation, [-0.04 * index for index in range(12)]))
    assert report["verdict"] != "still_improving"
    assert not [one for one in report["findings"] if one["rule"] == "still_improving"]


@pytest.mark.parametrize(
    # The loss at its best is 0.8; 0.016, 0.056 and 0.12 above it are 2, 7 and 15 %.
    ("rise", "severity"),
    [(0.016, "info"), (0.056, "warn"), (0.12, "critical")],
)
def test_overfitting_is_graded_by_its_size(synthetic: Synthetic, rise: float, severity: str) -> None:
    validation = [0.0, -0.3, -0.45, -0.5, *(-0.5 + rise * share for share in (0.3, 0.6, 0.8, 1.0, 1.0))]
    probe = [0.0, -0.3, -0.45, -0.55, -0.6, -0.65, -0.7, -0.75, -0.8]
    adapters = {"last": 80, "best": 30}
    report = diagnose(synthetic(validation, probe, rows=1000, spread=0.03, adapters=adapters))
    assert report["verdict"] == "overfitting"
    found = finding(report, "overfitting")
    assert found["severity"] == severity and found["evidence"]["best_step"] == 30
    assert "--adapter best" in found["action"] and report["findings"][0] == found
    assert (report["step_to_ship"]["adapter"], report["step_to_ship"]["step"]) == ("best", 30)
    assert report["step_to_ship"]["cost"]["low"] > 0


def test_a_validation_loss_that_rises_with_the_probe_is_not_overfitting(synthetic: Synthetic) -> None:
    # Both sets get worse by 0.2 nats: the training comes apart, and remembering rows is not why.
    curve = [0.0, -0.3, -0.5, -0.45, -0.4, -0.35, -0.3]
    report = diagnose(synthetic(curve, curve))
    assert report["verdict"] == "diverging"
    assert not any(one["rule"] == "overfitting" for one in report["findings"])


def test_batch_losses_that_climb_and_stay_there_are_diverging(synthetic: Synthetic) -> None:
    # 1.0 with 5 % noise for 80 steps, then 2.0: ln 2 is fourteen deviations of ln-noise 0.05.
    curve = [0.0] * 13
    losses = [1.0 + 0.05 * (-1) ** n for n in range(80)] + [2.0] * 40
    report = diagnose(synthetic(curve, curve, step_losses=losses))
    assert report["verdict"] == "diverging" and report["findings"][0]["severity"] == "critical"
    assert "train.learning_rate=6.7e-05" in report["findings"][0]["action"]  # a third of 2e-4


def test_a_spike_that_comes_back_is_not_diverging(synthetic: Synthetic) -> None:
    curve = [0.0] * 13
    losses = [1.0 + 0.05 * (-1) ** n for n in range(80)] + [2.0] * 30 + [1.0] * 10
    assert diagnose(synthetic(curve, curve, step_losses=losses))["verdict"] != "diverging"


def test_a_flat_training_loss_is_not_learning(synthetic: Synthetic) -> None:
    report = diagnose(synthetic([0.0] * 9, [0.0] * 9))
    assert report["verdict"] == "not_learning"
    assert "check runs/synthetic --show" in finding(report, "not_learning")["action"]


def test_a_tiny_learning_rate_is_named_as_the_cause(synthetic: Synthetic) -> None:
    evidence = synthetic([0.0] * 9, [0.0] * 9)
    report = diagnose(altered(evidence, learning_rate=np.full(len(evidence.steps), 1e-6)))
    assert "train.learning_rate=0.0001" in finding(report, "not_learning")["action"]


def test_an_adapter_without_effect_is_not_learning_and_critical(synthetic: Synthetic) -> None:
    # No row strays: every loss of the last evaluation is that of the first, bit for bit.
    report = diagnose(synthetic([0.0] * 6, [0.0] * 6, spread=0.0))
    assert report["verdict"] == "not_learning" and report["verdict_reason"] == "the adapter changes nothing"
    assert finding(report, "no_effect")["severity"] == "critical"
    assert report["step_to_ship"]["adapter"] is None


def test_a_failed_training_is_non_finite_and_tells_where(synthetic: Synthetic, falling_curve: Curve) -> None:
    failure = {
        "step": 51,
        "last_good_step": 50,
        "message": "the loss is not finite\n  where: examples rows.json#7",
        "example_ids": ["rows.json#7"],
        "learning_rate": 3e-3,
        "loss_scale": None,
    }
    curve = falling_curve(6)
    report = diagnose(synthetic(curve, curve, failure=failure, state="failed", adapters={}))
    assert report["verdict"] == "non_finite" and report["findings"][0]["rule"] == "non_finite"
    found = report["findings"][0]
    assert "step 51" in found["title"] and found["evidence"]["example_ids"] == ["rows.json#7"]
    assert "train.learning_rate=0.001" in found["action"]


def test_a_step_without_a_loss_is_non_finite_even_without_a_failure_record(
    synthetic: Synthetic, falling_curve: Curve
) -> None:
    evidence = synthetic(falling_curve(6), falling_curve(6))
    last = evidence.steps.step == 50
    loss = np.where(last, np.nan, evidence.steps.loss)
    report = diagnose(altered(evidence, loss=loss, loss_not_finite=last))
    assert report["verdict"] == "non_finite" and "step 50: the loss is not finite" in report["verdict_reason"]


@pytest.mark.parametrize(("rows", "judged"), [(19, False), (20, True)])
def test_fewer_than_twenty_validation_rows_are_not_enough(
    synthetic: Synthetic, falling_curve: Curve, rows: int, judged: bool
) -> None:
    report = diagnose(synthetic(falling_curve(9), falling_curve(9), rows=rows))
    assert (report["verdict"] != "not_enough_evidence") is judged
    if not judged:
        assert report["missing"][0]["have"] == 19 and report["missing"][0]["need"] == 20
        assert "prepare.validation=200" in report["missing"][0]["how"]
        assert {"rule": "overfitting", "reason": "19 validation rows are shared, 20 are needed"} in report[
            "rules_not_run"
        ]


def test_no_validation_split_is_not_enough(synthetic: Synthetic, falling_curve: Curve) -> None:
    report = diagnose(synthetic(None, falling_curve(9)))
    assert report["verdict"] == "not_enough_evidence"
    assert "validation rows: 0 of 20" in report["verdict_reason"]
    assert report["step_to_ship"]["adapter"] == "last"


def test_fewer_than_five_evaluations_are_not_enough(synthetic: Synthetic, falling_curve: Curve) -> None:
    report = diagnose(synthetic(falling_curve(4), falling_curve(4)))
    assert report["verdict"] == "not_enough_evidence"
    assert report["missing"] == [
        # 30 steps; a tenth of them between evaluations is every 3.
        {
            "what": "evaluations",
            "have": 4,
            "need": 5,
            "how": "lorascope train runs/synthetic --overwrite --set train.eval_steps=3",
        }
    ]


def test_an_unfinished_training_is_told_to_go_on(synthetic: Synthetic, falling_curve: Curve) -> None:
    report = diagnose(synthetic(falling_curve(3), falling_curve(3), state="unfinished", adapters={}))
    assert report["state"] == "unfinished" and "let it go on" in report["missing"][0]["how"]


def test_validation_rows_that_are_mostly_training_rows_withhold_the_verdict(
    synthetic: Synthetic, falling_curve: Curve
) -> None:
    counts = {"num_examples": 200, "same_prompt": 120, "same_answer": 120, "same_both": 120, "pairs": []}
    prepare = {
        "overlap": {"validation": counts},
        "dropped": {"malformed": 0},
        "rows_read": 2000,
        "kept": 2000,
    }
    report = diagnose(synthetic(falling_curve(9), falling_curve(9), prepare=prepare))
    assert report["verdict"] == "not_enough_evidence" and "120 of 200" in report["verdict_reason"]
    withheld = {one["rule"] for one in report["rules_not_run"] if one["reason"].startswith("withheld")}
    assert withheld >= {"overfitting", "not_learning", "plateau", "still_improving", "healthy_decline"}
    assert withheld >= {"generalisation_gap", "carry_over", "memorisation", "length_bias"}


def test_every_verdict_is_a_known_one_and_every_finding_is_complete(
    synthetic: Synthetic, falling_curve: Curve
) -> None:
    reports = [
        diagnose(synthetic(falling_curve(num), falling_curve(num), rows=rows, seed=num))
        for num in (1, 2, 5, 12)
        for rows in (1, 2, 30)
    ]
    for report in reports:
        assert report["verdict"] in VERDICTS and report["verdict_reason"]
        for one in report["findings"]:
            assert one["evidence"]["sentence"].endswith(".") and one["action"] and one["would_change"]
