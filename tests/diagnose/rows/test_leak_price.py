import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.leak_price import leak_price

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import make_evidence, with_last_changed


def leaking(share: float, gain: float, seed: int = 0) -> Evidence:
    """A run of 400 validation rows of which a share is leaked and gained that much more per token."""
    leaked = np.random.default_rng([seed, 5]).random(400) < share
    evidence = make_evidence([0.0, -0.3], [0.0, -0.3], rows=400, seed=seed)
    return dataclasses.replace(with_last_changed(evidence, -gain * leaked), leaked=leaked)


def test_the_extra_gain_of_leaked_rows_is_measured_and_warns() -> None:
    evidence = leaking(0.2, 0.4)
    found = leak_price(evidence)
    assert isinstance(found, Finding) and found.severity == "warn"
    assert found.evidence["extra_gain"] == pytest.approx(0.4, abs=0.05)
    # All rows = clean rows + the price of the leaked ones, exactly: it is one sum parted in two.
    assert found.evidence["loss_clean"] - found.evidence["loss_all"] == pytest.approx(found.evidence["price"])


def test_leaked_rows_that_gained_no_more_are_info() -> None:
    severities = [
        found.severity
        for seed in range(40)
        if isinstance(found := leak_price(leaking(0.2, 0.0, seed)), Finding)
    ]
    assert len(severities) == 40 and severities.count("warn") <= 4


def test_a_clean_split_is_no_finding_and_an_unknown_one_is_not_judged() -> None:
    evidence = make_evidence([0.0, -0.3], [0.0, -0.3])
    assert isinstance(leak_price(evidence), NotRun)
    assert leak_price(leaking(0.0, 0.0)) is None
