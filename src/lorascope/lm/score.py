"""A model and examples -> losses. The only path: training, eval, compare and export all come through here.

Shapes: B rows, T tokens in a row, S target positions, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lorascope.engine.token_loss import token_nll
from lorascope.errors import DataError, explain
from lorascope.lm.batches import Batch, collate, rows_within
from lorascope.lm.load import context_length
from lorascope.run.dataset import IGNORE, Example


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


@dataclass(frozen=True, slots=True)
class TargetLosses:
    """What a forward pass says about each target token of a batch.

    Attributes:
        nll_S: Nats, float32, differentiable.
        row_S: Row of the batch each target belongs to.
        correct_S: Whether the target was the most likely token.
    """

    nll_S: Tensor
    row_S: Tensor
    correct_S: Tensor


def target_logits(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits at the positions that predict a target token.

    Args:
        model: A causal language model, with or without an adapter.
        batch: On the model's device.

    Returns:
        logit_SV; target_S: the tokens to predict; row_S: the row each belongs to. Row-major order.
    """
    # Only positions before some row's target need logits: prompts and padding get none.
    wanted_BT = batch.labels_BT[:, 1:] != IGNORE
    columns = wanted_BT.any(dim=0).nonzero().squeeze(1)
    logit_BCV = model(
        input_ids=batch.input_ids_BT,
        attention_mask=batch.attention_mask_BT,
        position_ids=batch.position_ids_BT,
        use_cache=False,
        logits_to_keep=columns,
    ).logits
    chosen_BC = wanted_BT[:, columns]
    row_S = chosen_BC.nonzero()[:, 0]
    return logit_BCV[chosen_BC], batch.labels_BT[:, 1:][:, columns][chosen_BC], row_S


def target_losses(model: Any, batch: Batch) -> TargetLosses:
    """Loss of every target token of a batch; see `target_logits`."""
    logit_SV, target_S, row_S = target_logits(model, batch)
    correct_S = logit_SV.detach().argmax(dim=-1) == target_S
    return TargetLosses(token_nll(logit_SV, target_S), row_S, correct_S)


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


@torch.no_grad()
def score_examples(
    model: Any,
    examples: Sequence[Example],
    *,
    pad_id: int,
    batch_size: int | None = None,
    row_tokens: int = 4096,
    side: Literal["right", "left"] = "right",
    advance: Callable[[int], None] = lambda done: None,
) -> ExampleScores:
    """Score examples in evaluation mode.

    The result does not depend on how examples are batched or padded (to float32 rounding); the arguments that
    say so are there for memory and for the tests that prove it.

    Args:
        model: A causal language model; its mode is restored afterwards.
        examples: What to score; an example without target tokens scores 0 nats over 0 tokens.
        pad_id: See `lm.batches.pad_id_of`.
        batch_size: Most examples in a forward pass; None leaves it to `row_tokens`.
        row_tokens: Most tokens in a forward pass, padding included.
        side: Padding side.
        advance: Told how many examples were just done.

    Returns:
        One score per example, in the given order.

    Raises:
        DataError: An example does not fit the model, see `refuse_unfit`.
    """
    refuse_unfit(model, examples)
    nll, tokens, correct = (np.zeros(len(examples)) for _ in range(3))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for group in rows_within([e.num_tokens for e in examples], row_tokens=row_tokens, most=batch_size):
            scorable = [index for index in group if examples[index].num_target_tokens]
            if scorable:
                batch = collate([examples[index] for index in scorable], pad_id, side=side).to(device)
                losses = target_losses(model, batch)
                sums = _sums_by_row(losses, len(scorable))
                nll[scorable], tokens[scorable], correct[scorable] = sums
            advance(len(group))
    finally:
        model.train(was_training)
    return ExampleScores(
        nll_sum_N=nll, num_tokens_N=tokens.astype(np.int64), num_correct_N=correct.astype(np.int64)
    )


def _sums_by_row(losses: TargetLosses, num_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row_S = losses.row_S.cpu().numpy()
    nll = np.bincount(row_S, weights=losses.nll_S.cpu().double().numpy(), minlength=num_rows)
    correct = np.bincount(row_S, weights=losses.correct_S.cpu().numpy(), minlength=num_rows)
    return nll, np.bincount(row_S, minlength=num_rows), correct
