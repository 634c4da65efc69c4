import math
import sys
from pathlib import Path

import pytest

from lorascope.diagnose.finding import Finding
from lorascope.diagnose.rows.gap import gap

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import make_evidence


def test_the_gap_is_the_ratio_of_perplexities() -> None:
    # Validation ends at 1.3 - 0.1, the probe at 1.3 - 0.6: exp(0.5) = 1.65.
    found = gap(make_evidence([0.0, -0.1], [0.0, -0.6], rows=1000))
    assert isinstance(found, Finding) and found.rule == "generalisation_gap"
    assert found.evidence["ratio"] == pytest.approx(math.exp(0.5), rel=0.06)
    assert found.evidence["ratio_low"] < math.exp(0.5) < found.evidence["ratio_high"]
    assert found.evidence["base_ratio"] == pytest.approx(1.0, abs=0.06)


def test_equal_sets_have_no_gap() -> None:
    alarms = [gap(make_evidence([0.0, -0.3], [0.0, -0.3], seed=seed)) for seed in range(60)]
    assert (
        sum(isinstance(one, Finding) for one in alarms) <= 4
    )  # 95 % intervals, and only 5 % or more is told


def test_validation_below_training_is_to_be_investigated() -> None:
    found = gap(make_evidence([-0.4, -0.7], [0.0, -0.3], rows=1000))
    assert isinstance(found, Finding) and found.rule == "easier_validation"
    assert "easier before training too" in found.evidence["sentence"]
