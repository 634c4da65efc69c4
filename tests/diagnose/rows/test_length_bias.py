import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.length_bias import length_bias

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import make_evidence, with_last_changed


def test_a_loss_that_grows_with_length_is_told() -> None:
    evidence = make_evidence([0.0, -0.5], [0.0, -0.5], rows=800)
    tokens = np.array(evidence.evals[-1].validation.num_tokens)  # type: ignore[union-attr]
    found = length_bias(with_last_changed(evidence, 0.4 * (tokens > np.median(tokens))))
    assert isinstance(found, Finding) and found.severity == "info"
    assert "higher loss" in found.title and found.evidence["difference"] == pytest.approx(0.4, abs=0.1)


def test_long_rows_that_got_worse_warn() -> None:
    evidence = make_evidence([0.0, -0.2], [0.0, -0.2], rows=800)
    tokens = np.array(evidence.evals[-1].validation.num_tokens)  # type: ignore[union-attr]
    found = length_bias(with_last_changed(evidence, 0.3 * (tokens < np.quantile(tokens, 0.25))))
    assert isinstance(found, Finding) and found.severity == "warn"
    assert found.evidence["rise"] == pytest.approx(0.1, abs=0.03) and "got worse" in found.title


def test_rows_alike_at_all_lengths_are_no_finding() -> None:
    alarms = [length_bias(make_evidence([0.0, -0.3], [0.0, -0.3], rows=400, seed=seed)) for seed in range(60)]
    assert sum(isinstance(one, Finding) for one in alarms) <= 4


def test_few_rows_cannot_be_parted_by_length() -> None:
    assert isinstance(length_bias(make_evidence([0.0, -0.3], [0.0, -0.3], rows=60)), NotRun)
