"""Likelihood metrics: ratios of sums, and no number where there is none."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.errors import NoTargetTokens, UndefinedMetric
from lorascope.metrics.likelihood import (
    bits_per_byte,
    can_read,
    mean_nll,
    mean_of_batch_losses,
    perplexity,
    token_accuracy,
)

LN2 = math.log(2)


def test_mean_nll_weighs_every_token_once() -> None:
    # One token at p = 1/2; three at p = 1/4: (ln 2 + 3 ln 4) / 4 = 7/4 ln 2. The mean of example means is 3/2
    # ln 2.
    assert mean_nll([LN2, 6 * LN2], [1, 3]) == pytest.approx(7 / 4 * LN2)


def test_mean_nll_of_a_uniform_guess_is_the_log_of_the_vocabulary() -> None:
    assert mean_nll([3 * math.log(50), 2 * math.log(50)], [3, 2]) == pytest.approx(math.log(50))


def test_an_example_without_target_tokens_changes_nothing() -> None:
    assert mean_nll([LN2, 0.0, 6 * LN2], [1, 0, 3]) == mean_nll([LN2, 6 * LN2], [1, 3])


@settings(deadline=None)  # a busy machine is no failure
@given(st.permutations(list(range(8))))
def test_the_order_of_the_examples_never_changes_a_digit(order: list[int]) -> None:
    nll_sum_N = [0.1, 1e-9, 7.3, 1e6, 2.2, 0.3, 1e-3, 5.5]
    num_tokens_N = [1, 2, 3, 4, 5, 6, 7, 8]
    shuffled = mean_nll([nll_sum_N[i] for i in order], [num_tokens_N[i] for i in order])
    assert shuffled == mean_nll(nll_sum_N, num_tokens_N)


@pytest.mark.parametrize("nothing", [([], []), ([0.0, 0.0], [0, 0])])
def test_no_target_token_is_an_error_and_not_a_zero(nothing: tuple[list[float], list[int]]) -> None:
    with pytest.raises(NoTargetTokens):
        mean_nll(*nothing)
    with pytest.raises(NoTargetTokens):
        mean_of_batch_losses(*nothing, batch_size=1)
    with pytest.raises(NoTargetTokens):
        token_accuracy(*nothing)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_named_and_refused(bad: float) -> None:
    with pytest.raises(UndefinedMetric, match="index 1"):
        mean_nll([1.0, bad], [1, 1])
    with pytest.raises(UndefinedMetric, match="index 1"):
        bits_per_byte([1.0, bad], [1, 1])


def test_columns_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UndefinedMetric, match="covers 1 examples"):
        mean_nll([1.0, 2.0], [1])
    with pytest.raises(UndefinedMetric, match="no count"):
        mean_nll([1.0, 2.0], [1, -1])
    with pytest.raises(UndefinedMetric, match="no count"):
        mean_nll([1.0, 2.0], [1, 1.5])
    with pytest.raises(UndefinedMetric, match="no target token"):
        mean_nll([1.0, 2.0], [1, 0])
    with pytest.raises(UndefinedMetric, match="shape"):
        mean_nll([[1.0, 2.0]], [[1, 1]])
    with pytest.raises(UndefinedMetric, match="one number per example"):
        mean_nll(["many"], [1])
    with pytest.raises(UndefinedMetric, match="too large"):
        mean_nll([1.7e308, 1.7e308], [1, 1])


def test_perplexity_of_a_coin_is_two() -> None:
    assert perplexity(LN2) == pytest.approx(2.0)


def test_perplexity_is_taken_of_the_mean_and_not_averaged() -> None:
    # Two examples of one token at p = 1/2 and p = 1/32: exp((ln 2 + ln 32) / 2) = 2^3; the mean of both is
    # 17.
    assert perplexity(mean_nll([LN2, 5 * LN2], [1, 1])) == pytest.approx(8.0)


@pytest.mark.parametrize("mean", [math.nan, math.inf, 1e4])
def test_a_perplexity_beyond_floats_is_undefined(mean: float) -> None:
    with pytest.raises(UndefinedMetric):
        perplexity(mean)


def test_bits_per_byte_counts_bytes_and_not_tokens() -> None:
    # 16 ln 2 nats are 16 bits; 5 + 3 bytes: 2 bits per byte, into however many tokens the text was cut.
    assert bits_per_byte([10 * LN2, 6 * LN2], [5, 3]) == pytest.approx(2.0)


def test_a_stop_token_alone_adds_nats_but_no_bytes() -> None:
    # 4 bits over 4 bytes, and 4 more bits for the stop token of an empty answer.
    assert bits_per_byte([4 * LN2, 4 * LN2], [4, 0]) == pytest.approx(2.0)


def test_bits_per_byte_of_no_text_is_undefined() -> None:
    with pytest.raises(UndefinedMetric, match="no byte"):
        bits_per_byte([1.0], [0])


def test_a_model_reads_text_on_which_it_is_far_better_than_guessing() -> None:
    # Guessing among 256 tokens loses 8 ln 2, and three quarters of that are 6 ln 2.
    assert can_read(5.99 * LN2, 256)
    assert not can_read(6.01 * LN2, 256)
    assert not can_read(9 * LN2, 256)  # worse than guessing


def test_the_mean_of_batch_losses_depends_on_the_batch_size() -> None:
    # Batches of 2: (8/4 + 6/2) / 2 = 2.5. Batches of 1: (2/1 + 6/3 + 6/2) / 3 = 7/3. One batch: 14/6.
    nll_sum_N, num_tokens_N = [2.0, 6.0, 6.0], [1, 3, 2]
    assert mean_of_batch_losses(nll_sum_N, num_tokens_N, 2) == pytest.approx(2.5)
    assert mean_of_batch_losses(nll_sum_N, num_tokens_N, 1) == pytest.approx(7 / 3)
    assert mean_of_batch_losses(nll_sum_N, num_tokens_N, 99) == mean_nll(nll_sum_N, num_tokens_N)


def test_a_batch_without_target_tokens_has_no_mean_and_is_left_out() -> None:
    # Batches of 1 with means 2 and 4; the middle one has no token. Counted as 0 the result would be 2.
    assert mean_of_batch_losses([2.0, 0.0, 4.0], [1, 0, 1], 1) == pytest.approx(3.0)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(UndefinedMetric, match="batch of 0"):
        mean_of_batch_losses([1.0], [1], 0)


def test_token_accuracy_is_a_share_of_all_tokens() -> None:
    assert token_accuracy([1, 0, 4], [2, 1, 5]) == pytest.approx(5 / 8)


def test_more_hits_than_tokens_is_refused() -> None:
    with pytest.raises(UndefinedMetric, match="example 1"):
        token_accuracy([1, 3], [2, 2])
