import sys
from pathlib import Path

import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.setback import setback
from lorascope.diagnose.verdict import give_verdict

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import falling, make_evidence


def test_a_loss_that_leaps_and_falls_again_is_found_though_the_end_looks_well() -> None:
    # 1.3 - 0.6 = 0.7 after step 30, 1.3 after step 40: a rise of 86 %; at the end it is back at 0.7.
    curve = [0.0, -0.4, -0.5, -0.6, 0.0, -0.4, -0.5, -0.6, -0.6]
    evidence = make_evidence(curve, curve)
    found = setback(evidence)
    assert isinstance(found, Finding) and found.severity == "warn"
    assert (found.evidence["step_before"], found.evidence["step"]) == (30, 40)
    assert found.evidence["share"] == pytest.approx(0.6 / 0.7, rel=0.08)
    assert give_verdict(evidence, [found])[0] == "unstable"


def test_a_training_that_is_worse_than_its_base_from_the_start_had_nothing_to_lose() -> None:
    assert setback(make_evidence([0.0, 0.8, 0.6], [0.0, 0.8, 0.6])) is None


def test_validation_that_rises_alone_is_no_setback() -> None:
    assert setback(make_evidence([0.0, -0.5, 0.0, 0.5], [0.0, -0.5, -0.7, -0.9])) is None


def test_healthy_curves_with_noise_have_none() -> None:
    curve = falling(16)
    assert not [seed for seed in range(60) if setback(make_evidence(curve, curve, seed=seed))]


def test_rows_that_are_remembered_do_not_fall_back_by_a_hundredth_of_a_nat() -> None:
    # Losses of 0.1 and 0.15 are 50 % apart, and by less than a tenth of a nat.
    curve = [0.0, -1.2, -1.2, -1.15, -1.2]
    assert setback(make_evidence(curve, curve, spread=0.001)) is None


def test_two_evaluations_show_no_setback() -> None:
    assert isinstance(setback(make_evidence([0.0, 1.0], [0.0, 1.0])), NotRun)
