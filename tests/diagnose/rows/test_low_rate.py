import sys
from pathlib import Path

import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.low_rate import low_rate
from lorascope.diagnose.verdict import give_verdict

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import falling, make_evidence


def test_a_loss_that_falls_in_proportion_to_the_rate_spent_is_found() -> None:
    # Rate 1 - t / n: spent after a share x of the steps is 2 x - x^2 of the whole; the loss falls 0.05 of 1.3
    # in proportion to it, so its curve gets flat and each half of the rate brings the same.
    shares = [index / 10 for index in range(11)]
    curve = [-0.05 * (2 * x - x * x) for x in shares]
    evidence = make_evidence(curve, curve, schedule="linear", spread=0.01)
    found = low_rate(evidence)
    assert isinstance(found, Finding)
    assert found.evidence["straightness"] == pytest.approx(1.0, abs=0.15)
    assert found.evidence["share"] == pytest.approx(0.05 / 1.3, rel=0.2)
    assert "train.learning_rate=0.002" in found.action  # ten times 2e-4
    assert give_verdict(evidence, [found])[0] == "not_learning"


def test_a_slow_fall_that_is_worth_something_is_no_verdict_of_learning_nothing() -> None:
    # 0.12 of 1.3 is 9 %: three times the rate, and still improving.
    curve = [-0.12 * index / 10 for index in range(11)]
    evidence = make_evidence(curve, curve, spread=0.01)
    found = low_rate(evidence)
    assert isinstance(found, Finding) and "train.learning_rate=0.0006" in found.action
    assert give_verdict(evidence, [found])[0] == "still_improving"


def test_a_fall_that_slows_down_is_none() -> None:
    curve = falling(11, depth=0.2, pace=2.0)  # 15 % of the loss, most of it in the first third
    assert low_rate(make_evidence(curve, curve, spread=0.01)) is None


def test_a_deep_fall_is_none_however_straight() -> None:
    curve = [-0.05 * index for index in range(11)]  # 38 % of the loss
    assert low_rate(make_evidence(curve, curve, spread=0.01)) is None


def test_a_flat_loss_is_left_to_not_learning() -> None:
    assert not [
        seed
        for seed in range(40)
        if isinstance(low_rate(make_evidence([0.0] * 11, [0.0] * 11, seed=seed)), Finding)
    ]


def test_few_evaluations_tell_nothing() -> None:
    assert isinstance(low_rate(make_evidence([0.0, -0.1], [0.0, -0.1])), NotRun)
