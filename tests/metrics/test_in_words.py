"""Perplexity in words."""

import math

import pytest

from lorascope.errors import UndefinedMetric
from lorascope.metrics.in_words import among_tokens


def test_a_loss_is_told_as_a_choice_among_tokens() -> None:
    assert among_tokens(2.158) == "8.7 tokens"  # exp(2.158) = 8.654
    assert among_tokens(6.9078) == "1,000 tokens"  # exp(6.9078) = 1,000.0


def test_more_choices_than_there_are_tokens_are_worse_than_guessing() -> None:
    assert among_tokens(math.log(3357), 3357) == "3,357 tokens"
    assert among_tokens(math.log(3357) + 1e-9, 3357) == "worse than guessing"
    assert among_tokens(800.0, 3357) == "worse than guessing"  # exp(800) is no float


def test_a_perplexity_beyond_every_float_has_no_words_of_its_own() -> None:
    with pytest.raises(UndefinedMetric, match="too large"):
        among_tokens(800.0)
