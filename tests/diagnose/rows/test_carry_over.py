import sys
from pathlib import Path

import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.carry_over import carry_over

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import make_evidence


def test_the_share_that_carries_over_is_that_of_the_curves() -> None:
    # The probe falls by 0.5, validation by 0.3: 0.6 carries over.
    found = carry_over(make_evidence([0.0, -0.2, -0.3], [0.0, -0.3, -0.5], rows=500, spread=0.02))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.evidence["carry_over"] == pytest.approx(0.6, abs=0.05)
    assert found.evidence["low"] < 0.6 < found.evidence["high"]


def test_the_interval_covers_what_it_says() -> None:
    covered = 0
    for seed in range(100):
        evidence = make_evidence([0.0, -0.3], [0.0, -0.5], rows=100, seed=seed, spread=0.06)
        found = carry_over(evidence)
        assert isinstance(found, Finding)
        covered += found.evidence["low"] <= 0.6 <= found.evidence["high"]
    assert covered >= 88  # of 100 at 95 %: fewer happen once in 500


def test_mostly_memorised_warns_and_a_loss_on_validation_is_named() -> None:
    memorised = carry_over(make_evidence([0.0, -0.05], [0.0, -0.6], rows=500))
    harmed = carry_over(make_evidence([0.0, 0.2], [0.0, -0.6], rows=500))
    assert isinstance(memorised, Finding) and memorised.severity == "warn"
    assert "mostly memorised" in memorised.title
    assert isinstance(harmed, Finding) and "harms" in harmed.title and harmed.evidence["high"] < 0


def test_without_a_gain_nothing_can_carry_over() -> None:
    found = carry_over(make_evidence([0.0, 0.0], [0.0, 0.0]))
    assert isinstance(found, NotRun) and "no gain" in found.reason
