"""Logits of two models at the same positions -> how far apart they are at each.

Shapes: S = positions, V = vocabulary.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lorascope.errors import NumericsError, explain
from lorascope.lm.batches import collate
from lorascope.lm.load import context_length
from lorascope.lm.pair import Pair
from lorascope.lm.passes import target_logits
from lorascope.metrics.divergence import (
    centred_l2,
    js_divergence,
    kl_divergence,
    log_softmax,
    top1_agreement,
)
from lorascope.run.dataset import IGNORE, Example

MEASURES = ("kl_base_adapter", "kl_adapter_base", "js", "centred_l2", "top1_agreement")
"""Columns of `Positions.values`, in the order of tables."""

LOGIT_BYTES = 64 * 2**20
"""Most bytes of one array of positions by vocabulary in float32, whatever the model's vocabulary."""

_ROW_TOKENS = 4096
# The metrics make about ten copies; in steps of 4 MiB they stay in the cache, which is twice as fast as whole
# arrays (GPT-2's 50,257 tokens on one core: 13 ms a position against 27).
_STEP_VALUES = 2**19

Side = Callable[[Sequence[Example]], np.ndarray]
"""Examples -> logits at the positions that predict their targets, [S, V] float32, example by example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """How far apart two models are at each position. Shapes: S positions, in no particular order.

    Attributes:
        owner_S: Index of the example each position belongs to.
        place_S: Which target of its example it predicts, 0 for the first.
        values: Measure to its value at each position; see `MEASURES`.
        largest_S: Largest absolute difference of a logit, not centred; 0 where they are equal bit for bit.
        logit_S: Largest absolute logit of the first model: the scale that rounding is relative to.
        first_S2: The token that each of the two models ranks first.
        chance_S2: The probability it gives to it.
    """

    owner_S: np.ndarray
    place_S: np.ndarray
    values: dict[str, np.ndarray]
    largest_S: np.ndarray
    logit_S: np.ndarray
    first_S2: np.ndarray
    chance_S2: np.ndarray


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of an example's targets, with all that stands before them."""

    example: Example
    owner: int
    place: int

    @property
    def columns(self) -> frozenset[int]:
        return frozenset(np.flatnonzero(self.example.labels[1:] != IGNORE).tolist())


def side_of(
    pair: Pair, which: Literal["base", "adapter"], *, padding: Literal["right", "left"] = "right"
) -> Side:
    """Logits of the base model (the adapter switched off) or of the adapter.

    Args:
        pair: Both.
        which: Which of them.
        padding: "left" also runs each example beside a longer row: another order of the same sums.
    """

    def logits(examples: Sequence[Example]) -> np.ndarray:
        if padding == "right":
            return _logits(pair, which, examples, "right")
        longest = context_length(pair.model.config)
        rows = [_logits(pair, which, [one, _longer(one, longest)], "left") for one in examples]
        return np.concatenate(rows)

    return logits


def _longer(example: Example, longest: int | None) -> Example:
    """A row without targets, 8 tokens longer where the context allows: the other one is padded to it."""
    ids = np.resize(example.input_ids, min(example.num_tokens + 8, longest or example.num_tokens + 8))
    return Example(example_id="padding", input_ids=ids, labels=np.full(len(ids), IGNORE))


@torch.no_grad()
def _logits(
    pair: Pair,
    which: Literal["base", "adapter"],
    examples: Sequence[Example],
    padding: Literal["right", "left"],
) -> np.ndarray:
    device = next(pair.model.parameters()).device
    batch = collate(examples, pair.pad_id, side=padding).to(device)
    if which == "base":
        with pair.base() as model:
            found, _, _ = target_logits(model, batch)
    else:
        found, _, _ = target_logits(pair.model, batch)
    logit_SV: np.ndarray = found.float().cpu().numpy()
    if not np.isfinite(logit_SV).all():
        raise NumericsError(
            explain(
                f"logits of the {which} are not finite",
                where=f"{examples[0].example_id} or its neighbours; forward pass in {pair.precision.name}",
                why="no divergence has a value there",
                fix="use eval.precision: float32"
                if pair.precision.name != "float32"
                else "check the model's weights: lorascope doctor",
            )
        )
    return logit_SV


def compare_positions(
    a: Side,
    b: Side,
    examples: Sequence[Example],
    *,
    vocab_size: int,
    logit_bytes: int = LOGIT_BYTES,
    advance: Callable[[int], None] = lambda done: None,
) -> Positions:
    """Measure two models at every target position of some examples.

    Args:
        a: The one that comes first in KL(a || b): the base.
        b: The other.
        examples: What both read, teacher-forced; one without targets adds no position.
        vocab_size: Decides how many positions fit into `logit_bytes`.
        logit_bytes: Most bytes of an array of positions by vocabulary; it never changes the result but for
            rounding.
        advance: Told how many examples were just done.

    Returns:
        One entry per target position.
    """
    most = max(1, logit_bytes // (4 * vocab_size))
    pieces = [piece for owner, one in enumerate(examples) for piece in _cut(one, owner, most)]
    left = np.bincount([piece.owner for piece in pieces], minlength=len(examples))
    found: list[Positions] = []
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for group in _passes(pieces, most):
            inputs = [piece.example for piece in group]
            found.append(_measure(a(inputs), b(inputs), group, pool))
            for piece in group:
                left[piece.owner] -= 1
                advance(int(left[piece.owner] == 0))
    return _concatenated(found)


def last_prompt_position(prompt_ids: Sequence[int], prompt_id: str, pad_id: int) -> Example:
    """An example whose only target follows the prompt: its position predicts the first answer token.

    Which token stands there is never read off: attention is causal, and only logits before it are taken.
    """
    ids = np.array([*prompt_ids, pad_id])
    labels = np.full(len(ids), IGNORE)
    labels[-1] = pad_id
    return Example(example_id=prompt_id, input_ids=ids, labels=labels)


def _cut(example: Example, owner: int, most: int) -> list[_Piece]:
    """Cut an example's targets into runs that fit, each with everything before its last target."""
    targets = np.flatnonzero(example.labels[1:] != IGNORE) + 1
    pieces = []
    for start in range(0, len(targets), most):
        mine = targets[start : start + most]
        end = int(mine[-1]) + 1
        labels = np.full(end, IGNORE)
        labels[mine] = example.labels[mine]
        part = Example(example_id=example.example_id, input_ids=example.input_ids[:end], labels=labels)
        pieces.append(_Piece(part, owner, start))
    return pieces


def _passes(pieces: Sequence[_Piece], most: int) -> list[list[_Piece]]:
    """Group pieces so that rows times columns with logits stay within `most`, longest first."""
    groups: list[list[_Piece]] = []
    columns: frozenset[int] = frozenset()
    for piece in sorted(pieces, key=lambda one: (-one.example.num_tokens, one.owner)):
        rows = len(groups[-1]) + 1 if groups else 1
        union = columns | piece.columns
        longest = groups[-1][0].example.num_tokens if groups else 0
        if not groups or rows * len(union) > most or rows * longest > _ROW_TOKENS:
            groups.append([])
            union = piece.columns
        groups[-1].append(piece)
        columns = union
    return groups


def _measure(
    a_SV: np.ndarray, b_SV: np.ndarray, group: Sequence[_Piece], pool: ThreadPoolExecutor
) -> Positions:
    step = max(1, _STEP_VALUES // a_SV.shape[1])
    parts = list(
        pool.map(
            lambda start: _measure_step(a_SV[start : start + step], b_SV[start : start + step]),
            range(0, len(a_SV), step),
        )
    )
    counts = [one.example.num_target_tokens for one in group]
    places = [one.place + np.arange(count) for one, count in zip(group, counts, strict=True)]
    return Positions(
        owner_S=np.repeat([one.owner for one in group], counts),
        place_S=np.concatenate(places),
        values={name: np.concatenate([part[name] for part in parts]) for name in MEASURES},
        largest_S=np.concatenate([part["largest"] for part in parts]),
        logit_S=np.concatenate([part["logit"] for part in parts]),
        first_S2=np.concatenate([part["first"] for part in parts]),
        chance_S2=np.concatenate([part["chance"] for part in parts]),
    )


def _measure_step(a_SV: np.ndarray, b_SV: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure at a few positions, in float64.

    It costs no more time than float32, whose rounded log-probabilities alone make a KL of 4e-9 nats between
    models that agree to 1e-7.
    """
    a_SV, b_SV = a_SV.astype(np.float64), b_SV.astype(np.float64)
    logp_SV, logq_SV = log_softmax(a_SV), log_softmax(b_SV)
    first_S2 = np.stack([a_SV.argmax(axis=1), b_SV.argmax(axis=1)], axis=1)
    best = [
        np.take_along_axis(log_SV, first_S2[:, [i]], axis=1)[:, 0]
        for i, log_SV in enumerate((logp_SV, logq_SV))
    ]
    return {
        "kl_base_adapter": kl_divergence(logp_SV, logq_SV),
        "kl_adapter_base": kl_divergence(logq_SV, logp_SV),
        "js": js_divergence(logp_SV, logq_SV),
        "centred_l2": centred_l2(a_SV, b_SV),
        "top1_agreement": top1_agreement(a_SV, b_SV).astype(np.float64),
        "largest": np.abs(a_SV - b_SV).max(axis=1),
        "logit": np.abs(a_SV).max(axis=1),
        "first": first_S2,
        "chance": np.exp(np.stack(best, axis=1)),
    }


def _concatenated(found: Sequence[Positions]) -> Positions:
    if not found:
        empty = np.zeros(0)
        whole, pairs = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
        return Positions(
            owner_S=whole,
            place_S=whole,
            values=dict.fromkeys(MEASURES, empty),
            largest_S=empty,
            logit_S=empty,
            first_S2=pairs,
            chance_S2=pairs.astype(np.float64),
        )
    return Positions(
        owner_S=np.concatenate([one.owner_S for one in found]),
        place_S=np.concatenate([one.place_S for one in found]),
        values={name: np.concatenate([one.values[name] for one in found]) for name in MEASURES},
        largest_S=np.concatenate([one.largest_S for one in found]),
        logit_S=np.concatenate([one.logit_S for one in found]),
        first_S2=np.concatenate([one.first_S2 for one in found]),
        chance_S2=np.concatenate([one.chance_S2 for one in found]),
    )
