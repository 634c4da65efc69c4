"""How well a model predicts its target tokens, from one sum per example. Shapes: N = examples."""

import math

import numpy as np
import numpy.typing as npt

from lorascope.errors import NoTargetTokens, UndefinedMetric
from lorascope.metrics.columns import Column, checked_column, checked_counts, exact_sum


def mean_nll(nll_sum_N: npt.ArrayLike, num_tokens_N: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of the target tokens.

        nll = sum_i nll_sum_i / sum_i num_tokens_i

    A ratio of sums: every token counts once, a long completion weighs more than a short one, and neither
    batch size nor order of the examples changes a digit. The mean of batch losses does not have this
    property, see `mean_of_batch_losses`.

    Args:
        nll_sum_N: Negative log-likelihood summed over the target tokens of each example, [N], nats.
        num_tokens_N: Number of target tokens of each example, stop token included, [N].

    Returns:
        Nats per target token, >= 0.

    Raises:
        NoTargetTokens: No example has a target token.
        UndefinedMetric: A value is not finite, a count is no count, or an example without target tokens has a
            loss.

    Source:
        Jelinek et al. 1977, "Perplexity, a measure of the difficulty of speech recognition tasks".
    """
    s_N, t_N = _checked(nll_sum_N, num_tokens_N)
    return exact_sum(s_N) / exact_sum(t_N)


def perplexity(mean_nll: float) -> float:
    """Perplexity of a mean negative log-likelihood.

        perplexity = exp(mean_nll)

    Taken of the mean over all tokens, never averaged over examples or batches. Two perplexities compare only
    under one tokenizer; across tokenizers compare `bits_per_byte`.

    Args:
        mean_nll: Nats per target token, from `mean_nll`.

    Returns:
        Perplexity, >= 1 up to rounding.

    Raises:
        UndefinedMetric: The mean is not finite, or its exponential is too large for a float.
    """
    if not math.isfinite(mean_nll):
        raise UndefinedMetric(f"no perplexity for a mean negative log-likelihood of {mean_nll}")
    try:
        return math.exp(mean_nll)
    except OverflowError as error:
        raise UndefinedMetric(
            f"exp({mean_nll:g}) is too large for a float; report the nats per token alone"
        ) from error


def can_read(mean_nll: float, vocabulary_size: int) -> bool:
    """Whether a model knows the language of a text at all.

        mean_nll < 0.75 ln(vocabulary_size)

    ln(vocabulary_size) is the loss of a model that finds every token equally likely. What a model never knew
    it cannot forget: near that loss and above it, a difference between two models says nothing about either.
    The 0.75 is ours. GPT-2 reads plain English at a third of ln(50,257); the bundled starter, which knows one
    invented world, reads its own text at a tenth of ln(3,357) and English at 1.6 times that.

    Args:
        mean_nll: Nats per target token, from `mean_nll`.
        vocabulary_size: Tokens that the model chooses among, >= 2.
    """
    return mean_nll < 0.75 * math.log(vocabulary_size)


def bits_per_byte(nll_sum_N: npt.ArrayLike, num_bytes_N: npt.ArrayLike) -> float:
    """Bits that the model needs per byte of the target text.

        bits_per_byte = sum_i nll_sum_i / (ln 2 * sum_i num_bytes_i)

    Bytes belong to the text and not to the tokenizer, so this is the number that compares across tokenizers.
    The stop token adds nats but no bytes.

    Args:
        nll_sum_N: Negative log-likelihood summed over the target tokens of each example, [N], nats.
        num_bytes_N: UTF-8 bytes of the original target text of each example (not of decoded ids), [N].

    Returns:
        Bits per byte, >= 0.

    Raises:
        UndefinedMetric: There is no byte of target text, or a value is not finite or no count.

    Source:
        Gao et al. 2020, "The Pile", arXiv:2101.00027, section 3.1.
    """
    s_N = checked_column(nll_sum_N, "nll_sum")
    num_bytes = exact_sum(checked_counts(num_bytes_N, "num_bytes", like=s_N))
    if num_bytes == 0:
        raise UndefinedMetric(f"no byte of target text in {s_N.size} examples")
    return exact_sum(s_N) / (math.log(2) * num_bytes)


def mean_of_batch_losses(nll_sum_N: npt.ArrayLike, num_tokens_N: npt.ArrayLike, batch_size: int) -> float:
    """Unweighted mean of batch means: the older number that many training tools print as "eval loss".

        mean over batches b of  sum_(i in b) nll_sum_i / sum_(i in b) num_tokens_i

    A token in a batch of short examples weighs more here than one in a batch of long examples, so the number
    depends on the batch size and on the order. It is reported beside `mean_nll`, under its own name, only
    because older results were made this way.

    Args:
        nll_sum_N: As in `mean_nll`, in the order in which the batches were formed, [N].
        num_tokens_N: As in `mean_nll`, [N].
        batch_size: Examples per batch; the last batch may be smaller.

    Returns:
        Nats per target token, averaged over batches. Batches without a target token have no mean and are left
        out.

    Raises:
        NoTargetTokens: No example has a target token.
        UndefinedMetric: As in `mean_nll`, or the batch size is below 1.
    """
    if batch_size < 1:
        raise UndefinedMetric(f"a batch of {batch_size} examples has no loss")
    s_N, t_N = _checked(nll_sum_N, num_tokens_N)
    batch_means = []
    for start in range(0, s_N.size, batch_size):
        batch = slice(start, start + batch_size)
        if t_N[batch].any():
            batch_means.append(exact_sum(s_N[batch]) / exact_sum(t_N[batch]))
    return math.fsum(batch_means) / len(batch_means)


def token_accuracy(num_correct_N: npt.ArrayLike, num_tokens_N: npt.ArrayLike) -> float:
    """Share of target tokens that the model ranks first, given the true tokens before them.

        accuracy = sum_i num_correct_i / sum_i num_tokens_i

    Args:
        num_correct_N: Target tokens of each example that are the model's first choice, [N].
        num_tokens_N: Number of target tokens of each example, [N].

    Returns:
        A share in [0, 1].

    Raises:
        NoTargetTokens: No example has a target token.
        UndefinedMetric: A value is not finite or no count, or an example has more hits than tokens.
    """
    k_N = checked_column(num_correct_N, "num_correct")
    t_N = checked_counts(num_tokens_N, "num_tokens", like=k_N)
    checked_counts(k_N, "num_correct", like=t_N)
    _require_tokens(t_N)
    if (k_N > t_N).any():
        raise UndefinedMetric(
            f"example {int(np.argmax(k_N > t_N))} has more correct tokens than target tokens"
        )
    return exact_sum(k_N) / exact_sum(t_N)


def _checked(nll_sum_N: npt.ArrayLike, num_tokens_N: npt.ArrayLike) -> tuple[Column, Column]:
    """Both columns in float64, or the reason why there is no mean."""
    s_N = checked_column(nll_sum_N, "nll_sum")
    t_N = checked_counts(num_tokens_N, "num_tokens", like=s_N)
    _require_tokens(t_N)
    orphan_N = (t_N == 0) & (s_N != 0)
    if orphan_N.any():
        raise UndefinedMetric(f"example {int(np.argmax(orphan_N))} has a loss but no target token")
    return s_N, t_N


def _require_tokens(num_tokens_N: Column) -> None:
    if not num_tokens_N.any():
        raise NoTargetTokens(f"no target token in {num_tokens_N.size} examples")
