"""Whether generated text repeats itself, or its neighbours: measures of degenerate generation."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from lorascope.errors import UndefinedMetric


def seq_rep_n(tokens: Sequence[Hashable], n: int = 4) -> float:
    """Share of n-grams in one output that repeat an earlier one.

        seq-rep-n = 1 - unique n-grams / n-grams

    Lists, tables and code repeat for good reasons: compare with the reference or the base, never with a fixed
    cut.

    Args:
        tokens: Token ids or words of one output.
        n: Length of the n-grams, >= 1.

    Returns:
        A share in [0, 1): 0 where no n-gram occurs twice.

    Raises:
        UndefinedMetric: The output has fewer than n tokens, so it has no n-gram.

    Source:
        Welleck et al. 2020, "Neural text generation with unlikelihood training", arXiv:1908.04319.
    """
    num_ngrams = len(tokens) - n + 1
    if n < 1 or num_ngrams < 1:
        raise UndefinedMetric(f"an output of {len(tokens)} tokens has no {n}-gram")
    unique = {tuple(tokens[start : start + n]) for start in range(num_ngrams)}
    return 1 - len(unique) / num_ngrams


def diversity(tokens: Sequence[Hashable]) -> float:
    """One number for repetition at three lengths; 1 where no bigram occurs twice.

        diversity = (1 - seq-rep-2) * (1 - seq-rep-3) * (1 - seq-rep-4)

    Args:
        tokens: Token ids or words of one output.

    Returns:
        A share in (0, 1].

    Raises:
        UndefinedMetric: The output has fewer than 4 tokens.

    Source:
        Su et al. 2022, "A contrastive framework for neural text generation", arXiv:2202.06417.
    """
    return math.prod(1 - seq_rep_n(tokens, n) for n in (4, 3, 2))


def longest_loop(tokens: Sequence[Hashable], *, max_period: int = 32, min_repeats: int = 3) -> int:
    """Longest stretch of tokens made of one pattern that repeats at once, such as "the the the the".

    A pattern of p tokens loops over a stretch where every token equals the one p places before it. The last
    repeat may be cut short, as it is when generation stops inside a loop: a b c a b c a b c a is a loop of 10
    tokens.

    Args:
        tokens: Token ids or words of one output.
        max_period: Longest pattern looked for, in tokens.
        min_repeats: Whole repeats from which a stretch counts as a loop; 3, because "bye bye" is English.

    Returns:
        Tokens inside the longest loop; 0 where there is none.

    Source:
        Xu et al. 2022, "Learning to break the loop", arXiv:2206.02369, studies such loops; the measure is
        ours.
    """
    longest = 0
    for period in range(1, min(max_period, len(tokens) // max(min_repeats, 1)) + 1):
        num_equal = 0
        for index in range(period, len(tokens)):
            num_equal = num_equal + 1 if tokens[index] == tokens[index - period] else 0
            covered = num_equal + period
            if num_equal and covered >= min_repeats * period:
                longest = max(longest, covered)
    return longest


def first_tokens_shared(list_of_tokens: Sequence[Sequence[Hashable]], k: int = 20) -> float:
    """Share of outputs to different prompts that begin exactly like another output.

    A model that collapsed onto one answer scores near 1. Shared templates ("Sure, here is") score too, which
    is why the base and the references are scored beside it.

    Args:
        list_of_tokens: Tokens of each output, one output per prompt.
        k: Tokens compared from the start, >= 1. A shorter output is compared whole; outputs without any token
            count as alike.

    Returns:
        A share in [0, 1]; 0 where all beginnings differ.

    Raises:
        UndefinedMetric: Fewer than 2 outputs, or k below 1.
    """
    if len(list_of_tokens) < 2 or k < 1:
        raise UndefinedMetric(
            f"no other output to compare with: {len(list_of_tokens)} outputs, first {k} tokens"
        )
    beginnings = Counter(tuple(tokens[:k]) for tokens in list_of_tokens)
    return sum(count for count in beginnings.values() if count > 1) / len(list_of_tokens)
