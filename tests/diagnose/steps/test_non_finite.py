import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.points import logged_run
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.steps.no_effect import no_effect
from lorascope.diagnose.steps.non_finite import non_finite

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

NAN = float("nan")


def test_a_loss_that_was_logged_as_nan_is_critical_and_its_first_step_named() -> None:
    losses = np.full(20, 2.0)
    losses[[9, 14]] = NAN
    found = non_finite(made_log(losses))
    assert isinstance(found, Finding) and found.severity == "critical"
    assert found.evidence["first_step"] == 10 and found.evidence["num_not_finite"] == 2


def test_a_zero_beside_a_gradient_of_nan_is_a_disguised_nan() -> None:
    # As transformers logs it: measured in notes on its nan filter, 4.12 and then 0.0 for ever.
    losses, norms = np.full(40, 4.0), np.full(40, 1.0)
    losses[30:], norms[30:] = 0.0, NAN
    found = non_finite(made_log(losses, grad_norm=norms))
    assert isinstance(found, Finding) and found.severity == "critical"
    assert found.evidence["num_zero_beside_nan"] == 10 and "NaN as 0.0" in found.title


def test_losses_of_exactly_zero_point_to_the_labels() -> None:
    found = non_finite(made_log(np.zeros(20)))
    assert isinstance(found, Finding) and "masked" in found.title and "check" in found.action


def test_an_opening_loss_of_nothing_points_to_the_labels() -> None:
    found = non_finite(made_log(np.full(20, 5e-5)))
    assert isinstance(found, Finding) and found.severity == "critical"


def test_zeros_of_a_training_on_rewards_are_ordinary() -> None:
    assert non_finite(made_log(np.zeros(20), more={"reward": 0.1})) is None


def test_a_lost_gradient_now_and_then_is_the_loss_scaler() -> None:
    for num, severity in ((1, "info"), (3, "warn"), (120, "critical")):
        norms = np.full(200, 1.0)
        norms[:num] = NAN
        found = non_finite(made_log(np.full(200, 2.0), grad_norm=norms))
        assert isinstance(found, Finding) and found.severity == severity


def test_evaluations_that_are_not_finite_are_told() -> None:
    losses = np.full(40, 2.0)
    last = non_finite(made_log(losses, {10: 2.0, 20: 2.0, 30: 2.0, 40: NAN}))
    early = non_finite(made_log(losses, {10: NAN, 20: 2.0, 30: 2.0, 40: 2.0}))
    assert isinstance(last, Finding) and last.severity == "critical"
    assert isinstance(early, Finding) and early.severity == "warn" and early.evidence["first_step"] == 10


def test_a_run_whose_last_evaluation_is_not_finite_is_not_healthy_and_one_in_the_middle_is_a_warning() -> (
    None
):
    losses = 1 + np.exp(-np.arange(1, 201) / 30)
    evals = {step: float(losses[step - 1]) for step in range(20, 201, 20)}
    assert diagnose(made_log(losses, evals, noise=0.02))["verdict"] == "healthy"
    middle = diagnose(made_log(losses, {**evals, 100: NAN}, noise=0.02))
    assert middle["verdict"] == "healthy" and middle["findings"][0]["severity"] == "warn"
    assert middle["findings"][0]["title"] == "1 of 10 evaluation losses is not finite, that of step 100"
    last = diagnose(made_log(losses, {**evals, 200: NAN}, noise=0.02))
    assert last["verdict"] == "non_finite" and last["health"]["score"] <= 25


def test_an_evaluation_without_a_loss_is_not_the_last_one() -> None:
    losses = np.full(40, 2.0)
    evals = {10: 2.0, 20: 2.0, 30: NAN}
    entries: list[dict[str, float]] = []
    for step in range(1, 41):
        entries.append({"step": step, "loss": losses[step - 1]})
        entries += [{"step": step, "eval_loss": evals[step], "eval_bleu": 1.0}] if step in evals else []
    entries.append({"step": 40, "eval_bleu": 1.0})
    found = non_finite(log_evidence(logged_run(entries, path=Path("log.jsonl"), form="JSONL"), "log.jsonl"))
    assert isinstance(found, Finding) and found.severity == "critical" and found.evidence["num_points"] == 3


def test_training_that_went_on_with_finite_gradients_speaks_for_the_weights() -> None:
    losses = np.full(40, 2.0)
    early = non_finite(made_log(losses, {20: NAN, 40: 2.0}))
    assert isinstance(early, Finding) and "every training loss and gradient norm" in early.how_sure
    assert early.action.startswith("look at the evaluation rows") and "training rows" not in early.action
    last = non_finite(made_log(losses, {20: 2.0, 40: NAN}))
    assert isinstance(last, Finding) and "weights may be broken too" in last.how_sure


def test_an_evaluation_of_every_step_has_its_own_steps() -> None:
    # As many evaluations as training points: the first that is not finite is evaluation's.
    found = non_finite(made_log(np.full(4, 2.0), {1: 2.0, 2: 2.0, 3: NAN, 4: 2.0}))
    assert isinstance(found, Finding) and found.evidence["first_step"] == 3


def test_a_run_of_zeros_to_the_end_after_ordinary_losses_is_proof_at_any_length_from_three_on() -> None:
    # 3 of 100 and 40 of 100, where half of the points used to be asked for; two may be the logger's accident.
    for num, severity in ((2, "info"), (3, "critical"), (40, "critical")):
        losses = np.full(100, 1.25)
        losses[-num:] = 0.0
        found = non_finite(made_log(losses, grad_norm=1.0))
        assert (found.severity if isinstance(found, Finding) else None) == severity
    assert isinstance(found, Finding) and found.evidence["num_zero_at_end"] == 40
    assert "all from step 61 to the end" in found.title and "NaN as 0.0" in found.title


def test_zeros_beside_a_gradient_of_nothing_point_to_the_labels_also_at_the_end() -> None:
    losses, norms = np.full(50, 1.25), np.full(50, 1.0)
    losses[30:], norms[30:] = 0.0, 0.0
    found = non_finite(made_log(losses, grad_norm=norms))
    assert isinstance(found, Finding) and found.severity == "critical" and "masked" in found.title


def test_single_zeros_among_large_losses_are_a_warning_from_three_on() -> None:
    losses = np.full(60, 9.5)
    losses[20] = 0.0  # of step 21
    found = non_finite(made_log(losses))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.title == "1 of 60 losses is exactly 0, at step 21"
    losses[[30, 40]] = 0.0
    found = non_finite(made_log(losses))
    assert isinstance(found, Finding) and found.severity == "warn" and found.evidence["num_zero"] == 3


def test_zeros_without_a_logged_gradient_say_that_it_is_not_logged() -> None:
    losses = np.full(60, 2.0)
    losses[40:] = 0.0
    logged = made_log(losses, grad_norm=1.0)
    silent = replace(logged, steps=replace(logged.steps, grad_norm=np.full(60, NAN)))
    beside, without = non_finite(logged), non_finite(silent)
    assert isinstance(without, Finding) and isinstance(beside, Finding)
    assert "beside 0 of them the gradient norm is not finite" in beside.evidence["sentence"]
    assert "no gradient norm is logged" in without.evidence["sentence"]


def test_zeros_that_the_curve_comes_down_to_are_rounding() -> None:
    # 0.6 exp(-step / 7) falls below 0.00005, which four decimals print as 0, at step 66 of 120.
    losses = np.round(0.6 * np.exp(-np.arange(1, 121) / 7), 4)
    found = non_finite(made_log(losses))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.evidence["num_zero"] == 55 and "below what the log prints" in found.title


def test_losses_of_one_decimal_come_down_to_zero_in_larger_steps() -> None:
    # Of one decimal 0.3, 0.2, 0.1 are within five units of 0, although above 0.05.
    found = non_finite(made_log([1.3, 1.1, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0]))
    assert isinstance(found, Finding) and found.severity == "info"
    found = non_finite(made_log([1.3, 1.1, 0.9, 0.9, 0.8, 0.8, 0.9, 0.8, 0.8, 0.8, 0.0, 0.0, 0.0, 0.0]))
    assert isinstance(found, Finding) and found.severity == "critical"


def test_rounding_does_not_hide_an_evaluation_that_is_not_finite() -> None:
    losses = np.round(0.6 * np.exp(-np.arange(1, 121) / 7), 4)
    found = non_finite(made_log(losses, {60: 2.0, 120: NAN}))
    assert isinstance(found, Finding) and found.severity == "critical" and "evaluation" in found.title


def test_a_first_loss_of_zero_before_ordinary_ones_is_left_out() -> None:
    evidence = made_log([0.0, *np.full(20, 2.0)])
    assert non_finite(evidence) is None and len(evidence.steps) == 20
    assert evidence.log is not None and "it is left out" in evidence.log.problems[0]


def test_a_negative_loss_is_no_likelihood_and_no_zero() -> None:
    evidence = made_log(np.linspace(-1.1, -2.0, 60))
    assert non_finite(evidence) is None
    assert evidence.log is not None and "the loss is negative: no likelihood" in evidence.log.problems[0]
    assert isinstance(no_effect(evidence), NotRun)


def test_a_few_rounded_losses_below_zero_are_still_likelihoods() -> None:
    losses = np.full(200, 1.5)
    losses[7] = -1.0  # 1 of 200 is below the 1 % that is asked for
    evidence = made_log(losses)
    assert evidence.log is not None and not evidence.log.is_negative


def test_weights_are_not_called_lost_where_later_losses_are_finite() -> None:
    once, ever = np.full(20, 2.0), np.full(20, 2.0)
    once[9], ever[9:] = NAN, NAN
    found = non_finite(made_log(once))
    assert isinstance(found, Finding) and "gradient norm logged after it is finite" in found.how_sure
    assert found.action.startswith("look at what was computed at step 10")
    found = non_finite(made_log(ever))
    assert isinstance(found, Finding) and found.action.startswith("go back to a checkpoint before step 10")


def test_finite_losses_without_gradient_norms_do_not_show_that_weights_are_finite() -> None:
    # transformers leaves NaN out of the losses that it logs, so that they are finite all the same.
    losses = np.full(40, 2.0)
    losses[9] = NAN
    for logged in (made_log(losses), made_log(np.full(40, 2.0), {20: NAN, 40: 2.0})):
        silent = replace(logged, steps=replace(logged.steps, grad_norm=np.full(40, NAN)))
        found = non_finite(silent)
        assert isinstance(found, Finding) and "does not show that the weights are" in found.how_sure
        assert "logging_nan_inf_filter" in found.how_sure and "sound" not in found.how_sure
