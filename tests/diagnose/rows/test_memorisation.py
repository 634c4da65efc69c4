import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.memorisation import area_above, memorisation

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import make_evidence

SPLIT = {"held_out_file": None, "sources": [{"held_out": False, "own_splits": []}]}


def test_the_area_counts_pairs_with_ties_half() -> None:
    high, low = np.array([3.0, 2.0, 2.0]), np.array([1.0, 2.0])
    # By hand: 3 > 1, 3 > 2, 2 > 1 twice, 2 = 2 twice: (4 + 2 / 2) / 6.
    assert area_above(high, low)[0] == pytest.approx(5 / 6)
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.3, 1, 40), generator.normal(0, 1, 30)
    pairs = [(x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b)]
    assert area_above(a, b)[0] == pytest.approx(np.mean(pairs))


def test_the_standard_error_is_that_of_repeated_draws() -> None:
    generator = np.random.default_rng(1)
    drawn = [area_above(generator.normal(0.5, 1, 100), generator.normal(0, 1, 100)) for _ in range(400)]
    areas, errors = np.array(drawn).T
    assert errors.mean() == pytest.approx(areas.std(), rel=0.12)


def test_rows_that_are_remembered_are_told_from_others() -> None:
    evidence = make_evidence([0.0, -0.1], [0.0, -0.6], rows=200, prepare=SPLIT)
    found = memorisation(evidence)
    assert isinstance(found, Finding) and found.severity == "warn" and found.evidence["auc"] > 0.9


def test_equal_gains_are_not_memory() -> None:
    alarms = [
        memorisation(make_evidence([0.0, -0.4], [0.0, -0.4], seed=seed, prepare=SPLIT)) for seed in range(80)
    ]
    assert sum(isinstance(one, Finding) for one in alarms) <= 6  # one side of 95 %: 2 of 80 are expected


def test_a_validation_file_of_ones_own_is_no_random_split() -> None:
    evidence = make_evidence([0.0, -0.1], [0.0, -0.6], prepare={**SPLIT, "held_out_file": "other.json"})
    found = memorisation(evidence)
    assert isinstance(found, NotRun) and "random split" in found.reason


def test_a_validation_row_that_gained_like_training_is_listed() -> None:
    import dataclasses

    evidence = make_evidence([0.0, -0.1], [0.0, -0.6], rows=100, prepare=SPLIT)
    first, last = evidence.evals
    assert first.validation is not None and last.validation is not None
    nll = list(last.validation.nll_sums)
    nll[17] = first.validation.nll_sums[17] - 2.0 * first.validation.num_tokens[17]  # gains 2 nats a token
    last = dataclasses.replace(last, validation=dataclasses.replace(last.validation, nll_sums=tuple(nll)))
    ids = tuple(f"rows.json#{index}" for index in range(100))
    found = memorisation(dataclasses.replace(evidence, evals=(first, last), validation_ids=ids))
    assert isinstance(found, Finding) and found.evidence["validation_like_training"][0] == "rows.json#17"
