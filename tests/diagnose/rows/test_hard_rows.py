import dataclasses
import sys
from pathlib import Path

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.hard_rows import hard_rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import falling, make_evidence

CURVE = falling(9)


def with_ids(evidence: Evidence) -> Evidence:
    num = len(evidence.evals[-1].probe.nll_sums)
    return dataclasses.replace(evidence, probe_ids=tuple(f"rows.json#{at}" for at in range(num)))


def spoilt(evidence: Evidence, row: int, loss: float) -> Evidence:
    """The same run with one probe row at so many nats per token in the end."""
    *earlier, last = evidence.evals
    nll = list(last.probe.nll_sums)
    nll[row] = loss * last.probe.num_tokens[row]
    probe = dataclasses.replace(last.probe, nll_sums=tuple(nll))
    return dataclasses.replace(evidence, evals=(*earlier, dataclasses.replace(last, probe=probe)))


def test_a_row_that_stays_behind_is_named() -> None:
    # The others end near 1.3 - 0.5 with a spread of 0.5; the row has 40 nats per token.
    found = hard_rows(spoilt(with_ids(make_evidence(CURVE, CURVE)), 17, 40.0))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.evidence["rows"] == ["rows.json#17"]
    assert found.action == "read them: rows.json#17"


def test_rows_that_only_differ_are_none() -> None:
    assert not [
        seed for seed in range(60) if hard_rows(with_ids(make_evidence(CURVE, CURVE, seed=seed))) is not None
    ]


def test_a_run_without_ids_is_not_judged() -> None:
    assert isinstance(hard_rows(make_evidence(CURVE, CURVE)), NotRun)


def test_the_mean_of_the_others_is_the_median_that_is_told() -> None:
    evidence = spoilt(with_ids(make_evidence(CURVE, CURVE)), 3, 40.0)
    probe = evidence.evals[-1].probe
    loss = np.array(probe.nll_sums) / np.array(probe.num_tokens)
    found = hard_rows(evidence)
    assert isinstance(found, Finding)
    assert np.isclose(found.evidence["median_loss"], np.median(loss[np.array(probe.num_tokens) >= 8]))
