"""Repetition measures, by hand and against brute force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.errors import UndefinedMetric
from lorascope.metrics.repetition import diversity, first_tokens_shared, longest_loop, seq_rep_n


def test_seq_rep_counts_ngrams_that_came_before() -> None:
    # a b a b a: bigrams ab ba ab ba, 2 unique of 4; trigrams aba bab aba, 2 of 3; 4-grams abab baba, 2 of 2.
    assert seq_rep_n("ababa", 2) == pytest.approx(1 / 2)
    assert seq_rep_n("ababa", 3) == pytest.approx(1 / 3)
    assert seq_rep_n("ababa") == 0.0
    assert diversity("ababa") == pytest.approx(1 / 2 * 2 / 3 * 1)


def test_a_constant_output_repeats_all_but_one_ngram() -> None:
    assert seq_rep_n([7] * 103) == pytest.approx(99 / 100)


def test_outputs_shorter_than_an_ngram_have_no_repetition_rate() -> None:
    assert seq_rep_n([1, 2, 3, 4]) == 0.0
    for metric in (seq_rep_n, diversity):
        with pytest.raises(UndefinedMetric, match="3 tokens has no 4-gram"):
            metric([1, 2, 3])
    with pytest.raises(UndefinedMetric):
        seq_rep_n([1, 2, 3], 0)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("", 0),
        ("abcdef", 0),
        ("byebye", 0),  # two repeats of three letters are no loop
        ("abaaab", 3),
        ("xabcabcabcay", 10),  # three whole repeats and one letter more
        ("aabbaabbaabb", 12),
        ("aaaxbcbcbcbc", 8),  # the longer of two loops
    ],
)
def test_the_longest_loop_by_hand(tokens: str, expected: int) -> None:
    assert longest_loop(tokens) == expected


def test_a_loop_longer_than_the_period_limit_is_not_looked_for() -> None:
    sentence = list(range(33))
    assert longest_loop(sentence * 4) == 0
    assert longest_loop(sentence * 4, max_period=33) == 132


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, 2), max_size=24))
def test_the_longest_loop_agrees_with_trying_every_stretch(tokens: list[int]) -> None:
    best = 0
    for start in range(len(tokens)):
        for end in range(start + 3, len(tokens) + 1):
            stretch = tokens[start:end]
            for period in range(1, len(stretch) // 3 + 1):
                if all(stretch[i] == stretch[i - period] for i in range(period, len(stretch))):
                    best = max(best, len(stretch))
    assert longest_loop(tokens) == best


def test_shared_beginnings_are_counted_on_both_sides() -> None:
    outputs = [[1, 2, 3, 4], [1, 2, 3, 9], [5, 6, 7], [8]]
    assert first_tokens_shared(outputs, k=3) == pytest.approx(2 / 4)
    assert first_tokens_shared(outputs) == 0.0


def test_a_short_output_is_compared_whole_and_silence_equals_silence() -> None:
    assert first_tokens_shared([[1], [1, 2]], k=2) == 0.0
    assert first_tokens_shared([[], [], [1]]) == pytest.approx(2 / 3)


def test_one_output_alone_has_nothing_to_share() -> None:
    with pytest.raises(UndefinedMetric, match="no other output"):
        first_tokens_shared([[1, 2]])
    with pytest.raises(UndefinedMetric):
        first_tokens_shared([[1], [2]], k=0)
