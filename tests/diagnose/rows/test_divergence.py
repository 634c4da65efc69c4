import sys
from pathlib import Path

import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.divergence import probe_divergence
from lorascope.diagnose.verdict import give_verdict

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import falling, make_evidence


def test_rows_that_are_trained_on_and_get_worse_than_the_base_model_has_them_diverge() -> None:
    # 1.3 before training; 2.1 and 1.9 after: 46 % above the base at the last of three evaluations.
    evidence = make_evidence([0.0, 0.8, 0.6], [0.0, 0.8, 0.6])
    found = probe_divergence(evidence)
    assert isinstance(found, Finding) and found.severity == "critical"
    assert found.evidence["share"] == pytest.approx(0.6 / 1.3, rel=0.05)
    assert "above that of the base model" in found.title and "corrected" not in found.how_sure
    assert give_verdict(evidence, [found])[0] == "diverging"


def test_few_rows_show_it_too_because_the_base_was_not_picked_out_of_several() -> None:
    # 25 rows that stray by 0.8 nats from one evaluation to the next: +0.6 is some two standard errors.
    curve = [0.0, 0.9, 0.7, 0.6, 0.7, 0.6]
    runs = [make_evidence(curve, curve, rows=25, spread=0.8, seed=seed) for seed in range(40)]
    found = sum(isinstance(probe_divergence(one), Finding) for one in runs)
    shared = sum(all(one.probe.rise_from_best(last, 0).low > 0 for last in (4, 5)) for one in runs)
    assert found >= 14 > 2 * shared  # shared among five comparisons the level would hide most


def test_a_probe_that_leaps_above_the_base_and_then_falls_below_it_does_not_diverge() -> None:
    curve = [0.0, 0.8, 0.2, -0.2, -0.4, -0.5]
    assert probe_divergence(make_evidence(curve, curve)) is None


def test_flat_and_falling_curves_do_not_diverge() -> None:
    for seed in range(60):
        flat, fall = [0.0] * 8, falling(8)
        assert probe_divergence(make_evidence(flat, flat, seed=seed)) is None
        assert probe_divergence(make_evidence(fall, fall, seed=seed)) is None


def test_three_evaluations_tell_nothing_of_a_best_that_was_picked_out() -> None:
    found = probe_divergence(make_evidence([0.0, -0.5, 0.2], [0.0, -0.5, 0.2]))
    assert isinstance(found, NotRun) and "5" in found.reason
