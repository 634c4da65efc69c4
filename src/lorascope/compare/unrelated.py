"""Base and adapter on text that has nothing to do with the data -> what the adapter has forgotten.

Shapes: N passages, S positions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lorascope.compare.divergences import (
    LOGIT_BYTES,
    Positions,
    compare_positions,
    positions_within,
    side_of,
)
from lorascope.compare.measures import spread
from lorascope.compare.passages import Passages
from lorascope.errors import UndefinedMetric
from lorascope.lm.load import context_length
from lorascope.lm.pair import Pair
from lorascope.lm.target_logits import lay_out
from lorascope.metrics.likelihood import can_read, mean_nll, perplexity
from lorascope.metrics.uncertainty import MIN_CLUSTERS, exp_interval, paired_ratio_difference
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.progress import SILENT, Observer

MOST_TOKENS = 256
"""Of a passage: some 180 words of a language that the tokenizer was made for, and a bound for any other."""

_DISTANCES = ("kl_base_adapter", "kl_adapter_base", "top1_agreement")


def passage_examples(texts: Sequence[str], tokenizer: Any, context: int | None) -> list[Example]:
    """Tokenise passages as a pre-training text: bare, without a template.

    The tokenizer adds the special tokens that it always adds; they are read and never scored. All others are
    targets but the very first, which nothing predicts.

    Args:
        texts: The passages.
        tokenizer: The base model's.
        context: Most tokens that the model reads; None for no limit.

    Returns:
        One example a passage, cut behind `MOST_TOKENS` tokens or the context.
    """
    most = min(MOST_TOKENS, context or MOST_TOKENS)
    special = tokenizer.all_special_ids
    examples = []
    for number, text in enumerate(texts, start=1):
        ids = np.array(tokenizer(text, verbose=False)["input_ids"][:most], dtype=np.int64)
        labels = np.where(np.isin(ids, special), IGNORE, ids)
        examples.append(Example(example_id=f"unrelated passage {number}", input_ids=ids, labels=labels))
    return examples


def measure_unrelated(
    pair: Pair, passages: Passages | None, observer: Observer = SILENT
) -> tuple[dict[str, Any] | None, str | None]:
    """Score base and adapter on the same tokens of unrelated text, in one pass of each.

    Args:
        pair: Base and adapter.
        passages: From `read_passages`.
        observer: Told about progress.

    Returns:
        What stands under "unrelated" in compare/report.json, and None; or None and the reason why nothing was
        measured.
    """
    if passages is None:
        return None, "compare.unrelated is false"
    context = context_length(pair.model.config)
    examples = passage_examples(passages.texts, pair.tokenizer, context)
    examples = [one for one in examples if one.num_target_tokens]
    if len(examples) < MIN_CLUSTERS:
        return None, (
            f"{len(examples)} passages with tokens to score in {passages.source}; {MIN_CLUSTERS} are needed, "
            "because an interval from fewer is too short"
        )
    vocabulary = int(pair.model.config.get_text_config().vocab_size)
    most = positions_within(LOGIT_BYTES, vocabulary)
    passes = lay_out(pair.model, examples, pad_id=pair.pad_id, most=most)
    with observer.task("reading unrelated text", len(examples), "passages") as advance:
        positions = compare_positions(
            side_of(pair, "base"),
            side_of(pair, "adapter"),
            passes,
            most=most,
            measures=_DISTANCES,
            advance=advance,
        )
    return {
        "from": passages.source,
        "num_passages": len(examples),
        "num_tokens": len(positions.owner_S),
        "most_tokens": min(MOST_TOKENS, context or MOST_TOKENS),
        **unrelated_facts(positions, len(examples), vocabulary),
    }, None


def unrelated_facts(positions: Positions, num_passages: int, vocabulary: int) -> dict[str, Any]:
    """Losses, their paired difference, and distances, from positions of both models on the same tokens.

        difference = sum_i (s_i(adapter) - s_i(base)) / sum_i t_i

    with s_i the nats and t_i the tokens of passage i; its 95 % interval is that of `paired_ratio_difference`,
    because the tokens of one passage move together. The ratio of the perplexities is exp of it, end by end.

    Args:
        positions: Of the base first.
        num_passages: They belong to.
        vocabulary: Tokens that the models choose among.

    Returns:
        JSON values; what has no value is None, with its reason under "why".
    """
    why: dict[str, str] = {}
    tokens_N = np.bincount(positions.owner_S, minlength=num_passages)
    nll_2N = [
        np.bincount(positions.owner_S, weights=nll_S, minlength=num_passages) for nll_S in positions.nll_S2.T
    ]
    difference = paired_ratio_difference(nll_2N[0], nll_2N[1], tokens_N)
    distances = spread(positions, num_passages)
    base, adapter = (
        _loss(nll_N, tokens_N, which, why) for nll_N, which in zip(nll_2N, ("base", "adapter"), strict=True)
    )
    return {
        "vocabulary": vocabulary,
        "base_can_read": can_read(base["loss"], vocabulary),
        "base": base,
        "adapter": adapter,
        "difference": difference.as_dict(),
        "perplexity_ratio": _or_why(lambda: exp_interval(difference).as_dict(), "perplexity_ratio", why),
        **{name: distances[name] for name in _DISTANCES},
        "why": {**why, **distances["why"]},
    }


def _loss(nll_N: np.ndarray, tokens_N: np.ndarray, which: str, why: dict[str, str]) -> dict[str, Any]:
    loss = mean_nll(nll_N, tokens_N)
    return {"loss": loss, "perplexity": _or_why(lambda: perplexity(loss), f"{which} perplexity", why)}


def _or_why(compute: Callable[[], Any], name: str, why: dict[str, str]) -> Any:
    try:
        return compute()
    except UndefinedMetric as error:
        why[name] = error.message
        return None
