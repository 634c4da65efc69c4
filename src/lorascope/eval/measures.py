"""Scores of examples -> the numbers of a split, each with its interval or the reason why it has no value."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lorascope.errors import UndefinedMetric
from lorascope.lm.score import ExampleScores
from lorascope.metrics.likelihood import (
    bits_per_byte,
    mean_nll,
    mean_of_batch_losses,
    perplexity,
    token_accuracy,
)
from lorascope.metrics.uncertainty import Interval, exp_interval, paired_ratio_difference, ratio_interval


def split_measures(scores: ExampleScores, target_bytes_N: np.ndarray, batch_size: int) -> dict[str, Any]:
    """The loss of a split and what follows from it.

    Args:
        scores: Of its examples, in stored order.
        target_bytes_N: UTF-8 bytes of each example's target text, [N].
        batch_size: Of the classic mean of batch losses, and of num_batches.

    Returns:
        JSON values; an undefined number is None and `why` has its reason.
    """
    why: dict[str, str] = {}
    nll, tokens = scores.nll_sum_N, scores.num_tokens_N
    loss = _value("eval_loss", why, lambda: mean_nll(nll, tokens))
    interval = _interval("eval_loss_interval", why, lambda: ratio_interval(nll, tokens))
    return {
        "eval_loss": loss,
        "eval_loss_interval": interval,
        "perplexity": None if loss is None else _value("perplexity", why, lambda: perplexity(loss)),
        "perplexity_interval": _interval(
            "perplexity_interval", why, lambda: exp_interval(ratio_interval(nll, tokens))
        ),
        "bits_per_byte": _value("bits_per_byte", why, lambda: bits_per_byte(nll, target_bytes_N)),
        "token_accuracy": _value("token_accuracy", why, lambda: token_accuracy(scores.num_correct_N, tokens)),
        "mean_of_batch_losses": _value(
            "mean_of_batch_losses", why, lambda: mean_of_batch_losses(nll, tokens, batch_size)
        ),
        "num_batches": math.ceil(len(nll) / batch_size),
        "supervised_tokens": int(tokens.sum()),
        "num_examples": len(nll),
        "examples_without_targets": int((tokens == 0).sum()),
        "why": why,
    }


def difference(base: ExampleScores, adapter: ExampleScores) -> dict[str, Any]:
    """Loss of the adapter minus loss of the base on the same examples: paired, nats per target token.

    Returns:
        The interval as JSON values, with `why` where it has none.
    """
    why: dict[str, str] = {}
    interval = _interval(
        "loss", why, lambda: paired_ratio_difference(base.nll_sum_N, adapter.nll_sum_N, base.num_tokens_N)
    )
    return {"loss": interval, "why": why}


def by_group(scores: ExampleScores, group_N: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Loss and perplexity of each group of examples, in the groups' alphabetical order.

    Args:
        scores: Of N examples.
        group_N: The group of each.
    """
    out: dict[str, dict[str, Any]] = {}
    names = np.array(group_N)
    for name in sorted(set(group_N)):
        mine = names == name
        nll, tokens = scores.nll_sum_N[mine], scores.num_tokens_N[mine]
        why: dict[str, str] = {}
        loss = _value("eval_loss", why, lambda n=nll, t=tokens: mean_nll(n, t))  # type: ignore[misc]
        out[name] = {
            "num_examples": int(mine.sum()),
            "supervised_tokens": int(tokens.sum()),
            "eval_loss": loss,
            "perplexity": None if loss is None else _value("perplexity", why, lambda x=loss: perplexity(x)),  # type: ignore[misc]
            "why": why,
        }
    return out


def _value(name: str, why: dict[str, str], compute: Callable[[], float]) -> float | None:
    try:
        return compute()
    except UndefinedMetric as error:
        why[name] = error.message
        return None


def _interval(name: str, why: dict[str, str], compute: Callable[[], Interval]) -> dict[str, Any] | None:
    try:
        return compute().as_dict()
    except UndefinedMetric as error:
        why[name] = error.message
        return None
