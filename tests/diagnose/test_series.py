"""Pairing evaluations, against formulas written out and against scipy."""

import numpy as np
import pytest
import scipy.stats

from lorascope.diagnose.series import Series, make_series, rows_needed
from lorascope.errors import RunError
from lorascope.run.records import SetScore


def score(nll: list[float], tokens: list[int]) -> SetScore:
    return SetScore(
        loss=sum(nll) / sum(tokens),
        low=None,
        high=None,
        num_examples=len(nll),
        target_tokens=sum(tokens),
        nll_sums=tuple(nll),
        num_tokens=tuple(tokens),
    )


def random_series(num_evals: int, num_rows: int, *, seed: int = 0) -> Series:
    generator = np.random.default_rng(seed)
    tokens_N = generator.integers(1, 90, num_rows)
    return Series(
        steps=tuple(range(num_evals)),
        nll_EN=tokens_N * generator.normal(2.0, 0.3, (num_evals, num_rows)),
        num_tokens_N=tokens_N,
    )


def test_only_the_examples_that_all_evaluations_scored_are_compared() -> None:
    # The last evaluation scored a third example; the loss over the first two is (1 + 2) / 2 and (3 + 2) / 2.
    found = make_series([(0, score([1.0, 2.0], [1, 1])), (9, score([3.0, 2.0, 50.0], [1, 1, 1]))])
    assert found is not None and found.num_rows == 2 and found.steps == (0, 9)
    assert (found.loss(0), found.loss(1)) == (1.5, 2.5)


def test_evaluations_of_other_examples_are_refused() -> None:
    with pytest.raises(RunError, match="did not score the same examples"):
        make_series([(0, score([1.0, 2.0], [1, 3])), (9, score([1.0, 2.0], [3, 1]))])


def test_examples_without_targets_are_not_counted() -> None:
    found = make_series([(0, score([1.0, 0.0], [2, 0])), (1, score([1.0, 0.0], [2, 0]))])
    assert found is not None and found.num_rows == 1


def test_a_change_is_the_linearised_ratio_of_paired_differences() -> None:
    series = random_series(2, 37)
    found = series.change(0, 1)
    d_N, t_N = series.nll_EN[1] - series.nll_EN[0], series.num_tokens_N
    ratio = d_N.sum() / t_N.sum()
    stderr = np.sqrt(37 / 36 * ((d_N - ratio * t_N) ** 2).sum()) / t_N.sum()
    half = scipy.stats.t.ppf(0.975, 36) * stderr
    assert found.estimate == pytest.approx(ratio) and found.stderr == pytest.approx(stderr)
    assert (found.low, found.high) == (pytest.approx(ratio - half), pytest.approx(ratio + half))


@pytest.mark.parametrize("index", [1, 4, 9])
def test_the_rise_from_the_best_shares_its_chance_of_error_among_the_earlier_evaluations(index: int) -> None:
    # Bonferroni: with K earlier evaluations the interval has the level 1 - 0.05 / K.
    series = random_series(10, 25)
    found = series.rise_from_best(index, 0)
    quantile = scipy.stats.t.ppf(1 - 0.05 / index / 2, 24)
    assert found.level == pytest.approx(1 - 0.05 / index)
    assert found.high - found.estimate == pytest.approx(quantile * found.stderr)


def test_the_best_is_the_first_with_the_lowest_loss() -> None:
    series = Series(
        steps=(0, 1, 2, 3),
        nll_EN=np.array([[4.0, 4.0], [1.0, 2.0], [2.0, 1.0], [0.5, 0.5]]),
        num_tokens_N=np.array([1, 1]),
    )
    assert series.best() == 3 and series.best(before=3) == 1


def test_rows_needed_grow_with_the_square_of_the_precision() -> None:
    assert rows_needed(100, 0.02, 0.01) == 400
    assert rows_needed(365, 0.0065 / 1.645, 0.0065 / 2.93) == 1158  # (2.93 / 1.645)^2 = 3.17 times as many
