"""Examples -> forward passes: packed rows where the model can run them, padded batches where it cannot.

Which of the two is settled once for a model, on its first examples: both are run, and packed rows are used
only where they agree. Shapes: B rows, T tokens in a row, S target positions, N examples, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from lorascope.engine.packing import PackedRow, Text, pack_rows, tokens_in
from lorascope.engine.token_loss import token_nll
from lorascope.lm.batches import Batch, collate, rows_within
from lorascope.lm.fused import fuse_layers, part_layers
from lorascope.lm.packed import CannotPack, PackedModel, build_packed, drops_values, unwrapped
from lorascope.lm.rope import rope_by_length
from lorascope.run.dataset import IGNORE, Example

Route = Literal["auto", "padded"]

_WINDOW = 512
"""Examples that are packed together where more are scored: what they share, they share within it."""
_LEAST_SAVED = 0.03
"""Share of the tokens that sharing has to save, since each layer gathers what is shared."""
_CHECKED = 4
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
_HALF_TOLERANCE = 0.05
"""Nats per token by which the two paths may differ: a hundred times what rounding makes of GPT-2 small."""


@dataclass(frozen=True, slots=True)
class TargetLosses:
    """What a forward pass says about each target token.

    Attributes:
        nll_S: Nats, float32, differentiable.
        example_S: Place of the example each target belongs to, among those given.
        correct_S: Whether the target was the most likely token.
        examples: Places of the examples in the pass.
        num_tokens: Tokens computed, padding included.
    """

    nll_S: Tensor
    example_S: Tensor
    correct_S: Tensor
    examples: tuple[int, ...]
    num_tokens: int

    def renamed(self, places: Sequence[int]) -> "TargetLosses":
        """The same, with examples named by their places in a longer sequence."""
        names = torch.tensor(places, device=self.example_S.device)
        own = tuple(places[place] for place in self.examples)
        return replace(self, example_S=names[self.example_S], examples=own)


@dataclass(frozen=True, slots=True)
class Settled:
    """How a model is run.

    Attributes:
        packed: For packed rows; None where it has to be padded.
        told: In words, with the reason.
    """

    packed: PackedModel | None
    told: str


@dataclass(frozen=True, slots=True)
class Division:
    """Which examples a model runs in packed rows, and which have to be padded.

    Attributes:
        packed: For the rows; None where all are padded.
        together: Places of the examples for packed rows.
        apart: Places of the others: longer than a window that layers attend within.
    """

    packed: PackedModel | None
    together: list[int]
    apart: list[int]


_SETTLED: WeakKeyDictionary[Any, Settled] = WeakKeyDictionary()


def settle(model: Any, examples: Sequence[Example], *, pad_id: int) -> Settled:
    """Say how a model is run; compared on a few of these examples when it is first asked.

    Args:
        model: A PEFT model or a base model. Its attention and its plain LoRA layers are exchanged where it
            can be packed; what they compute is the same.
        examples: What is to be run; the shortest with targets are tried.
        pad_id: For the padded path.
    """
    causal = unwrapped(model)
    found = _SETTLED.get(causal)
    if found is None:
        found = _settled(model, examples, pad_id)
        _SETTLED[causal] = found
    elif found.packed is not None:
        fuse_layers(model)  # an adapter may have been put on since
    return found


def how_it_runs(model: Any) -> str:
    """What `settle` found, in words; "as loaded" where nobody has asked yet."""
    found = _SETTLED.get(unwrapped(model))
    return "as loaded" if found is None else found.told


def _settled(model: Any, examples: Sequence[Example], pad_id: int) -> Settled:
    by_length = rope_by_length(model)
    if by_length is not None:
        return Settled(
            None,
            "each example alone, because the model's rotary positions depend on the longest text of a pass "
            f"({by_length})",
        )
    few = sorted((one for one in examples if one.num_target_tokens), key=lambda one: one.num_tokens)[
        :_CHECKED
    ]
    was_training, before = model.training, unwrapped(model).config._attn_implementation
    try:
        model.eval()
        packed = build_packed(model)
        few = [one for one in few if packed.longest is None or one.num_tokens <= packed.longest]
        gap = _largest_gap(model, packed, few, pad_id) if few else 0.0
        most = _TOLERANCE.get(packed.head.weight.dtype, _HALF_TOLERANCE)
        if not gap <= most:
            raise CannotPack(f"its losses differ by {gap:.2g} nats per token from the padded ones")
    except CannotPack as refused:
        part_layers(model)
        if unwrapped(model).config._attn_implementation != before:
            unwrapped(model).set_attn_implementation(before)
        return Settled(None, f"padded batches, because the model cannot be packed: {refused}")
    finally:
        model.train(was_training)
    return Settled(packed, f"packed rows, {packed.form} attention")


@torch.no_grad()
def _largest_gap(model: Any, packed: PackedModel, examples: Sequence[Example], pad_id: int) -> float:
    """Largest difference of an example's mean loss between the two paths, nats per token."""
    num = len(examples)
    plain = padded_losses(model, examples, pad_id=pad_id)
    fuse_layers(model)  # not before the plain losses, or both would share a fault of the fused layers
    sums = np.bincount(plain.example_S.cpu().numpy(), weights=_doubles(plain.nll_S), minlength=num)
    for row in pack_rows([Text(one.input_ids, one.labels) for one in examples], row_tokens=2**31, share=True):
        sums -= np.bincount(row.example_S, weights=_doubles(packed.nll(row)[0]), minlength=num)
    return float(np.abs(sums / [one.num_target_tokens for one in examples]).max())


def _doubles(nll_S: Tensor) -> np.ndarray:
    return np.asarray(nll_S.detach().cpu().double().numpy())


def passes(
    model: Any,
    examples: Sequence[Example],
    *,
    pad_id: int,
    row_tokens: int,
    most: int | None = None,
    side: Literal["right", "left"] = "right",
    route: Route = "auto",
    share: bool = True,
) -> Iterator[TargetLosses]:
    """Run examples through a model, pass by pass.

    Args:
        model: In the mode it should run in.
        examples: At least one, each with a target.
        pad_id: See `lm.batches.pad_id_of`.
        row_tokens: Most tokens in a pass.
        most: Most examples in a padded pass.
        side: Padding side of a padded pass.
        route: "padded" for the plain path.
        share: Whether prefixes in common may be computed once.

    Yields:
        Losses of each pass; every example is in one of them. Backpropagate before asking for the next.
    """
    found = divide(model, examples, pad_id=pad_id, route=route)
    most = 1 if rope_by_length(model) is not None else most
    lengths = [examples[place].num_tokens for place in found.apart]
    for group in rows_within(lengths, row_tokens=row_tokens, most=most):
        places = [found.apart[number] for number in group]
        losses = padded_losses(model, [examples[place] for place in places], pad_id=pad_id, side=side)
        yield losses.renamed(places)
    if found.packed is None:
        return
    share = share and not _adapter_drops(model)
    for row in rows_of([examples[place] for place in found.together], row_tokens=row_tokens, share=share):
        nll_S, correct_S = found.packed.nll(row)
        owner_S = torch.from_numpy(row.example_S).to(nll_S.device)
        yield TargetLosses(nll_S, owner_S, correct_S, row.examples, row.num_tokens).renamed(found.together)


def divide(model: Any, examples: Sequence[Example], *, pad_id: int, route: Route = "auto") -> Division:
    """Say which examples a model runs in packed rows.

    Args:
        model: In the mode it should run in.
        examples: At least one, each with a target.
        pad_id: For the padded path.
        route: "padded" for the plain path.
    """
    settled = None if route == "padded" or drops_values(model) else settle(model, examples, pad_id=pad_id)
    packed = settled.packed if settled else None
    most_tokens = 0 if packed is None else packed.longest or 2**31
    return Division(
        packed,
        together=[place for place, one in enumerate(examples) if one.num_tokens <= most_tokens],
        apart=[place for place, one in enumerate(examples) if one.num_tokens > most_tokens],
    )


def rows_of(examples: Sequence[Example], *, row_tokens: int, share: bool) -> Iterator[PackedRow]:
    """Pack examples, window by window, with prefixes shared where that saves enough.

    Yields:
        Rows; places of examples are those among all that were given.
    """
    for start in range(0, len(examples), _WINDOW):
        texts = [Text(one.input_ids, one.labels) for one in examples[start : start + _WINDOW]]
        rows = pack_rows(texts, row_tokens=row_tokens, share=share)
        apart = sum(len(text.ids) for text in texts)
        if share and tokens_in(rows) > (1 - _LEAST_SAVED) * apart:
            rows = pack_rows(texts, row_tokens=row_tokens, share=False)
        yield from (row.shifted(start) for row in rows)


def _adapter_drops(model: Any) -> bool:
    """Whether LoRA dropout is on: examples that share a prefix would share what it drops there."""
    return model.training and any(
        isinstance(module, torch.nn.Dropout) and module.p > 0 and "lora_" in name
        for name, module in model.named_modules()
    )


def padded_losses(
    model: Any, examples: Sequence[Example], *, pad_id: int, side: Literal["right", "left"] = "right"
) -> TargetLosses:
    """Loss of every target token by the plain path: padded rows, logits, cross-entropy."""
    batch = collate(examples, pad_id, side=side).to(next(model.parameters()).device)
    logit_SV, target_S, row_S = target_logits(model, batch)
    correct_S = logit_SV.detach().argmax(dim=-1) == target_S
    nll_S = token_nll(logit_SV, target_S)
    return TargetLosses(nll_S, row_S, correct_S, tuple(range(len(examples))), batch.input_ids_BT.numel())


def target_logits(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits at the positions that predict a target token, by the plain path.

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
