"""A model and examples -> losses, one per example. Shapes: N examples."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from lorascope.engine.memory import is_out_of_memory
from lorascope.errors import DataError, explain
from lorascope.lm.batches import shorter_rows
from lorascope.lm.load import context_length
from lorascope.lm.passes import Route, passes
from lorascope.run.dataset import IGNORE, Example

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleScores:
    """Losses of examples, in the order they were given. Shapes: N examples.

    Attributes:
        nll_sum_N: Summed nats over each example's target tokens, float64.
        num_tokens_N: Target tokens of each.
        num_correct_N: Target tokens that were the most likely ones.
    """

    nll_sum_N: np.ndarray
    num_tokens_N: np.ndarray
    num_correct_N: np.ndarray


def refuse_unfit(model: Any, examples: Sequence[Example], where: str = "the examples to score") -> None:
    """Insist that a model has room for every token id and every length, and that labels are their own tokens.

    Raises:
        DataError: An example does not fit; without this the embedding fails without a name, or a shifted
            label gives a loss that looks like any other.
    """
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    context = context_length(model.config)
    for one in examples:
        targets = one.labels != IGNORE
        if context is not None and one.num_tokens > context:
            problem = f"{one.num_tokens:,} tokens, and the model reads {context:,}"
            fix = "cut or leave out what is longer, as lorascope prepare does"
        elif one.num_tokens and not 0 <= one.input_ids.min() <= one.input_ids.max() < vocabulary:
            foreign = one.input_ids[(one.input_ids < 0) | (one.input_ids >= vocabulary)]
            problem = f"token id {foreign[0]}, and the model has {vocabulary:,} tokens"
            fix = "tokenise the data with this model's own tokenizer"
        elif (one.labels[targets] != one.input_ids[targets]).any():
            problem = "a label that is not its own token"
            fix = "do not shift labels: models shift them themselves"
        else:
            continue
        why = "its loss would be of another text than its own, or no number at all"
        raise DataError(explain(f"example {one.example_id} has {problem}", where=where, why=why, fix=fix))


def _shorter(error: MemoryError | RuntimeError, row_tokens: int, examples: Sequence[Example]) -> int:
    """The budget to go on with where memory ran out; any other error goes on its way."""
    shorter = shorter_rows(row_tokens, examples) if is_out_of_memory(error) else None
    if shorter is None:
        raise error
    log.warning("scoring ran out of memory and goes on with rows of %s tokens", f"{shorter:,}")
    return shorter


@torch.no_grad()
def score_examples(
    model: Any,
    examples: Sequence[Example],
    *,
    pad_id: int,
    batch_size: int | None = None,
    row_tokens: int = 4096,
    side: Literal["right", "left"] = "right",
    route: Route = "auto",
    advance: Callable[[int], None] = lambda done: None,
) -> ExampleScores:
    """Score examples in evaluation mode.

    The result does not depend on how examples are laid out (to rounding); the arguments that say so are there
    for memory and for the tests that prove it.

    Args:
        model: A causal language model; its mode is restored afterwards.
        examples: What to score; an example without target tokens scores 0 nats over 0 tokens.
        pad_id: See `lm.batches.pad_id_of`.
        batch_size: Most examples in a padded pass; None leaves it to `row_tokens`.
        row_tokens: Most tokens in a forward pass, padding included; halved where memory runs out.
        side: Padding side of a padded pass.
        route: See `lm.passes.passes`.
        advance: Told how many examples were just done.

    Returns:
        One score per example, in the given order.

    Raises:
        DataError: An example does not fit the model, see `refuse_unfit`.
    """
    refuse_unfit(model, examples)
    nll, tokens, correct = (np.zeros(len(examples)) for _ in range(3))
    scorable = [place for place, one in enumerate(examples) if one.num_target_tokens]
    advance(len(examples) - len(scorable))
    was_training = model.training
    model.eval()
    try:
        while left := [place for place in scorable if not tokens[place]]:
            try:
                for losses in passes(
                    model,
                    [examples[place] for place in left],
                    pad_id=pad_id,
                    row_tokens=row_tokens,
                    most=batch_size,
                    side=side,
                    route=route,
                ):
                    names_S = np.array(left)[losses.example_S.cpu().numpy()]
                    np.add.at(nll, names_S, losses.nll_S.cpu().double().numpy())
                    np.add.at(tokens, names_S, 1)
                    np.add.at(correct, names_S, losses.correct_S.cpu().numpy())
                    advance(len(losses.examples))
            except (MemoryError, RuntimeError) as error:
                row_tokens = _shorter(error, row_tokens, [examples[place] for place in left])
    finally:
        model.train(was_training)
    return ExampleScores(
        nll_sum_N=nll, num_tokens_N=tokens.astype(np.int64), num_correct_N=correct.astype(np.int64)
    )
