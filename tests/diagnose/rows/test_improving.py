"""What twice the epochs would bring, from losses that are known functions of the learning rate spent."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding
from lorascope.diagnose.rows.improving import improving

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import STEPS_PER_EVAL, altered, make_evidence

CONSTANT = [1.0] * 8
ANNEALED = [1.0] * 4 + [0.5] * 8
"""Rates between evaluations, such that a quarter and a half of their sum are spent at evaluations."""


def found_in(evidence: Evidence) -> Finding:
    found = improving(evidence)
    assert isinstance(found, Finding)
    return found


def bent(rates: list[float], **others: Any) -> Evidence:
    """A loss that fell by 0.15 (1 - 2^-4r) at a share r of all learning rate spent.

    By 0.075 at a quarter, by 0.1125 at a half, by 0.140625 at the end; no row's loss is below 0.2.
    """
    shares = np.concatenate([[0.0], np.cumsum(rates)]) / sum(rates)
    curve = (-0.15 * (1 - 2 ** (-4 * shares))).tolist()
    evidence = make_evidence(curve, curve, spread=0.0, **others)
    return altered(evidence, learning_rate=1e-4 * np.repeat(rates, STEPS_PER_EVAL))


@pytest.mark.parametrize("rates", [CONSTANT, ANNEALED])
def test_twice_the_epochs_would_bring_what_the_next_doubling_of_the_rate_spent_would(
    rates: list[float],
) -> None:
    # From a quarter to a half -0.0375, to all -0.028125: 75 % of it, 75 % of that -0.02109375. By steps
    # the annealed one would promise less, for its last evaluations move little.
    found = found_in(bent(rates))
    assert found.evidence["further"] == pytest.approx(-0.02109375, rel=1e-6)
    assert "brought -0.028, 75% of what the quarter before it brought" in found.evidence["sentence"]
    assert found.evidence["sentence"].endswith("twice the epochs would bring about -0.021.")
    assert found.action.startswith("train longer")


def test_a_loss_that_does_not_slow_down_is_told_no_more_than_its_last_doubling() -> None:
    # 0.02 for each eighth: 0.04 for the second quarter and 0.08 for the second half. The next doubling would
    # be 0.16 on a straight line, which no loss follows for long.
    curve = [-0.02 * index for index in range(9)]
    found = found_in(make_evidence(curve, curve, spread=0.0))
    assert found.evidence["further"] == pytest.approx(-0.08)
    assert "brought -0.080, no less than the quarter before it" in found.evidence["sentence"]


def test_a_training_that_goes_on_is_told_no_forecast_of_a_longer_one() -> None:
    found = found_in(bent(CONSTANT, state="unfinished", goes_on=True))
    assert found.evidence["further"] is None and "twice" not in found.evidence["sentence"]
    assert found.action.startswith("let it go on")


def test_without_rates_or_without_the_base_nothing_is_forecast() -> None:
    evidence = bent(CONSTANT)
    unknown = altered(evidence, learning_rate=np.full(len(evidence.steps), np.nan))
    for one in (unknown, bent(CONSTANT, evals=evidence.evals[1:])):
        found = found_in(one)
        assert found.evidence["further"] is None and "would bring" not in found.evidence["sentence"]
