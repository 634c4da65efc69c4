import sys
from pathlib import Path

import numpy as np

from lorascope.diagnose.finding import Finding
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
