"""Perplexity in words, the same in the terminal and on every page."""

import math

from lorascope.metrics.likelihood import perplexity


def among_tokens(loss: float, vocabulary_size: int | None = None) -> str:
    """Say among how many equally likely tokens a model with this loss seems to choose.

    Args:
        loss: Nats per target token, >= 0.
        vocabulary_size: Tokens it could choose among; None where that is not known. A loss above its
            logarithm is worse than that of a model that finds every token equally likely.

    Returns:
        "8.7 tokens", "1,204 tokens" or "worse than guessing".

    Raises:
        UndefinedMetric: The perplexity has no finite value.

    Source:
        exp of the entropy is the size of the uniform choice of the same entropy; see docs/eval.md.
    """
    if vocabulary_size is not None and loss > math.log(vocabulary_size):
        return "worse than guessing"
    value = perplexity(loss)
    return f"{value:.1f} tokens" if value < 10 else f"{value:,.0f} tokens"


def like_choosing(loss: float, vocabulary_size: int | None = None) -> str:
    """The same as part of a sentence: "like choosing among 8.7 tokens" or "worse than guessing"."""
    words = among_tokens(loss, vocabulary_size)
    return words if words.startswith("worse") else f"like choosing among {words}"
