"""Intervals against scipy, brute force and hand-made numbers."""

import json
import math

import numpy as np
import pytest
import scipy.stats

from lorascope.errors import UndefinedMetric
from lorascope.metrics.uncertainty import (
    Interval,
    clustered,
    exp_interval,
    independent_difference,
    mean_interval,
    paired_ratio_difference,
    proportion_interval,
    ratio_interval,
)


def test_an_interval_of_scores_ends_where_scores_end() -> None:
    free, bounded = mean_interval([0.0, 0.0, 0.3]), mean_interval([0.0, 0.0, 0.3], bounds=(0.0, 1.0))
    # mean 0.1, s = 0.1732, t(2) = 4.3027: half-width 4.3027 * 0.1732 / sqrt(3) = 0.4303
    assert (free.low, free.high) == (pytest.approx(-0.3303, abs=1e-4), pytest.approx(0.5303, abs=1e-4))
    assert (bounded.low, bounded.high) == (0.0, free.high)


def test_a_ratio_interval_by_hand() -> None:
    # R = (1 + 5) / (1 + 3) = 1.5; residuals -0.5 and 0.5; SE = sqrt(2/1 * 0.5) / 4 = 0.25.
    # t(1) at 0.975 is tan(0.475 pi) = 12.7062, because t with one degree of freedom is Cauchy.
    found = ratio_interval([1.0, 5.0], [1, 3])
    half_width = math.tan(0.475 * math.pi) * 0.25
    assert (found.estimate, found.stderr, found.num, found.level) == (1.5, pytest.approx(0.25), 2, 0.95)
    assert (found.low, found.high) == (pytest.approx(1.5 - half_width), pytest.approx(1.5 + half_width))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_with_equal_sizes_the_ratio_interval_is_the_t_interval_of_scipy(level: float) -> None:
    value_N = np.random.default_rng(0).normal(2.0, 1.0, 23)
    expected = scipy.stats.ttest_1samp(value_N, 0.0).confidence_interval(level)
    for found in (mean_interval(value_N, level), ratio_interval(7 * value_N, np.full(23, 7), level)):
        assert found.estimate == pytest.approx(value_N.mean())
        assert found.stderr == pytest.approx(scipy.stats.sem(value_N))
        assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_stderr_of_a_ratio_is_the_spread_of_ratios_over_fresh_samples() -> None:
    # 2,000 samples of 100 examples with unequal lengths: the mean stderr must meet the observed spread within
    # 5 % (the spread of 2,000 samples is itself known to 1/sqrt(4000) = 1.6 %).
    generator = np.random.default_rng(1)
    ratios, stderrs, covered = [], [], 0
    for _ in range(2000):
        num_tokens_N = np.ceil(generator.lognormal(4.3, 0.7, 100))
        nll_sum_N = num_tokens_N * generator.normal(1.3, 0.5, 100)
        found = ratio_interval(nll_sum_N, num_tokens_N)
        ratios.append(found.estimate)
        stderrs.append(found.stderr)
        covered += found.low <= 1.3 <= found.high
    assert np.mean(stderrs) == pytest.approx(np.std(ratios), rel=0.05)
    # Nominal 95 %; the notes computed 94.8 % at n = 100, and 2,000 samples know it to +- 1 %.
    assert 0.935 <= covered / 2000 <= 0.965


def test_a_paired_difference_sees_what_two_intervals_cannot() -> None:
    generator = np.random.default_rng(2)
    num_tokens_N = np.ceil(generator.lognormal(4.3, 0.7, 200))
    difficulty_N = generator.normal(1.3, 0.5, 200)
    a_N = num_tokens_N * difficulty_N
    b_N = num_tokens_N * (difficulty_N + generator.normal(-0.05, 0.06, 200))
    a, b, paired = ratio_interval(a_N, num_tokens_N), ratio_interval(b_N, num_tokens_N), None
    paired = paired_ratio_difference(a_N, b_N, num_tokens_N)
    assert a.low < b.high  # the two intervals overlap
    assert paired.high < 0  # the paired one shows the gain
    assert paired.estimate == pytest.approx(b.estimate - a.estimate)


def test_a_paired_difference_is_b_minus_a() -> None:
    # (3 + 3 - 1 - 2) / (1 + 2) = 1; residuals 2 - 1 and 1 - 2; SE = sqrt(2 * 2) / 3.
    found = paired_ratio_difference([1.0, 2.0], [3.0, 3.0], [1, 2])
    assert (found.estimate, found.stderr) == (pytest.approx(1.0), pytest.approx(2 / 3))


def test_examples_on_which_both_agree_are_evidence_and_stay() -> None:
    found = paired_ratio_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1, 1, 1])
    assert (found.estimate, found.low, found.high, found.num) == (0.0, 0.0, 0.0, 3)


def test_units_without_size_and_sum_do_not_feign_evidence() -> None:
    assert ratio_interval([1.0, 5.0, 0.0, 0.0], [1, 3, 0, 0]) == ratio_interval([1.0, 5.0], [1, 3])


def test_clusters_are_summed_in_order_of_first_appearance() -> None:
    assert clustered([1.0, 2.0, 4.0, 8.0], ["b", "a", "b", "c"]).tolist() == [5.0, 2.0, 8.0]


def test_clustering_widens_the_interval_of_examples_that_move_together() -> None:
    # Every example stands four times: the honest stderr is that of 50 examples, twice the naive one of 200
    # (times sqrt((199/200) / (49/50)) for the small-sample factor).
    value_N = np.repeat(np.random.default_rng(3).normal(1.0, 0.3, 50), 4)
    cluster_N = np.repeat(np.arange(50), 4)
    naive = ratio_interval(value_N, np.ones(200))
    honest = ratio_interval(clustered(value_N, cluster_N), clustered(np.ones(200), cluster_N))
    assert honest.num == 50
    assert honest.stderr / naive.stderr == pytest.approx(2 * math.sqrt((199 / 200) / (49 / 50)))


@pytest.mark.parametrize(("num_success", "num"), [(0, 12), (1, 12), (7, 12), (12, 12), (431, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_a_proportion_interval_is_the_wilson_interval_of_scipy(
    num_success: int, num: int, level: float
) -> None:
    expected = scipy.stats.binomtest(num_success, num).proportion_ci(level, method="wilson")
    found = proportion_interval(num_success, num, level)
    assert found.estimate == num_success / num
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high))
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert found.stderr is None


def test_the_difference_of_independent_estimates_is_the_welch_interval_of_scipy() -> None:
    generator = np.random.default_rng(4)
    a_N, b_N = generator.normal(1.0, 0.2, 15), generator.normal(1.4, 0.9, 40)
    expected = scipy.stats.ttest_ind(b_N, a_N, equal_var=False).confidence_interval(0.95)
    found = independent_difference(mean_interval(a_N), mean_interval(b_N))
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.num == 15


def test_estimates_without_spread_differ_without_spread() -> None:
    a, b = mean_interval([1.0, 1.0]), mean_interval([3.0, 3.0])
    found = independent_difference(a, b)
    assert (found.estimate, found.low, found.high) == (2.0, 2.0, 2.0)


def test_estimates_that_do_not_combine_are_refused() -> None:
    a = mean_interval([1.0, 2.0])
    with pytest.raises(UndefinedMetric, match="both standard errors"):
        independent_difference(a, proportion_interval(1, 2))
    with pytest.raises(UndefinedMetric, match="levels"):
        independent_difference(a, mean_interval([1.0, 2.0], 0.9))


def test_an_interval_of_perplexity_has_exponentiated_ends() -> None:
    nats = Interval(estimate=math.log(4), low=math.log(2), high=math.log(8), stderr=0.5, num=30, level=0.95)
    found = exp_interval(nats)
    # Delta method: d exp(x) = exp(x) dx, so the stderr is 4 * 0.5.
    assert found.as_dict() == {
        "estimate": pytest.approx(4.0),
        "low": pytest.approx(2.0),
        "high": pytest.approx(8.0),
        "stderr": pytest.approx(2.0),
        "num": 30,
        "level": 0.95,
    }
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["num"] == 30


def test_an_interval_of_perplexity_keeps_an_unknown_stderr_unknown_and_refuses_overflow() -> None:
    nats = Interval(estimate=1.0, low=0.5, high=2.0, stderr=None, num=3, level=0.95)
    assert exp_interval(nats).stderr is None
    with pytest.raises(UndefinedMetric, match="too large"):
        exp_interval(Interval(estimate=1.0, low=0.5, high=1e4, stderr=None, num=3, level=0.95))


def test_an_interval_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UndefinedMetric, match="at least 2"):
        ratio_interval([1.0], [1])
    with pytest.raises(UndefinedMetric, match="sum to 0"):
        ratio_interval([1.0, 2.0], [0, 0])
    with pytest.raises(UndefinedMetric, match="negative denominator"):
        ratio_interval([1.0, 2.0], [1, -1])
    with pytest.raises(UndefinedMetric, match="not finite"):
        ratio_interval([1.0, math.nan], [1, 1])
    with pytest.raises(UndefinedMetric, match="no coverage"):
        mean_interval([1.0, 2.0], 95)
    with pytest.raises(UndefinedMetric, match="no share"):
        proportion_interval(3, 2)
    with pytest.raises(UndefinedMetric, match="no share"):
        proportion_interval(0, 0)
    with pytest.raises(UndefinedMetric, match="labels"):
        clustered([1.0, 2.0], ["a"])
    with pytest.raises(UndefinedMetric, match="covers"):
        paired_ratio_difference([1.0, 2.0], [1.0], [1, 1])
