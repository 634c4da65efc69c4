"""Examples -> forward passes that two models can run alike, and logits of a few target positions at a time.

A pass is laid out once and run by every model that is compared, so that position s is the same in all.
Shapes: S target positions of a pass, D model width, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorascope.engine.packing import PackedRow
from lorascope.lm.batches import collate
from lorascope.lm.passes import Route, divide, rows_of, settle, target_logits
from lorascope.lm.rope import rope_by_length
from lorascope.run.dataset import IGNORE, Example

_ROW_TOKENS = 4096

Logits = Callable[[int, int], Tensor]
"""Positions `start` to `stop` of a pass -> their logits, [stop - start, V] float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPass:
    """One forward pass, and the target positions it answers for.

    Attributes:
        example_S: Place of the example each position belongs to, among those given; one example's positions
            stand together.
        place_S: Which target of its example it predicts, 0 for the first.
        examples: What is run, by place, in the order of positions; of a long one perhaps a part.
        row: The packed row; None where the examples are padded.
    """

    example_S: np.ndarray
    place_S: np.ndarray
    examples: Mapping[int, Example]
    row: PackedRow | None

    @property
    def target_S(self) -> np.ndarray:
        """The token that each position predicts, int64."""
        if self.row is not None:
            return self.row.target_S
        labels = [one.labels[1:] for one in self.examples.values()]
        return np.concatenate([one[one != IGNORE] for one in labels])

    def part(self, start: int, stop: int) -> list[Example]:
        """The examples of some positions, in order, each with these targets alone and all before them."""
        parts = []
        for place in dict.fromkeys(self.example_S[start:stop].tolist()):
            own = np.flatnonzero(self.example_S == place)
            first = max(start, int(own[0])) - int(own[0])
            parts.append(with_targets(self.examples[place], first, min(stop, int(own[-1]) + 1) - own[0]))
        return parts


def with_targets(example: Example, first: int, last: int) -> Example:
    """An example whose targets are its own from number `first` up to `last`, cut behind them."""
    mine = (np.flatnonzero(example.labels[1:] != IGNORE) + 1)[first:last]
    end = int(mine[-1]) + 1
    labels = np.full(end, IGNORE)
    labels[mine] = example.labels[mine]
    return Example(example_id=example.example_id, input_ids=example.input_ids[:end], labels=labels)


def lay_out(
    model: Any, examples: Sequence[Example], *, pad_id: int, most: int, route: Route = "auto"
) -> list[TargetPass]:
    """Lay examples out in packed rows where the model runs them, in padded batches where not.

    Args:
        model: In evaluation mode; another one can run the passes if it is packed alike.
        examples: One without targets is in no pass.
        pad_id: See `lm.batches.pad_id_of`.
        most: Most positions whose logits exist at a time. The padded path makes all of a pass at once, with
            the columns that only a neighbour needs, so that it cuts long examples.
        route: "padded" for the plain path.

    Returns:
        Passes that cover every target once.
    """
    places = [place for place, one in enumerate(examples) if one.num_target_tokens]
    if not places:
        return []
    scorable = [examples[place] for place in places]
    found = divide(model, scorable, pad_id=pad_id, route=route)
    pieces = [piece for place in found.apart for piece in _cut(scorable[place], places[place], most)]
    alone = rope_by_length(model) is not None
    groups = [[piece] for piece in pieces] if alone else _groups(pieces, most)
    passes = [_padded(group) for group in groups]
    together = [places[place] for place in found.together]
    rows = rows_of([examples[place] for place in together], row_tokens=_ROW_TOKENS, share=True)
    return passes + [_packed(row, together, examples) for row in rows]


@torch.no_grad()
def run_pass(model: Any, one: TargetPass, *, pad_id: int) -> Logits:
    """Run a pass; the head waits until logits are asked for, where it can.

    Args:
        model: In evaluation mode, adapter on or off. Logits stay those of the moment of this call.
        one: From `lay_out`.
        pad_id: See `lm.batches.pad_id_of`.
    """
    if one.row is None:
        logit_SV = padded_logits(model, list(one.examples.values()), pad_id=pad_id)
        return lambda start, stop: logit_SV[start:stop].float()
    packed = settle(model, list(one.examples.values()), pad_id=pad_id).packed
    assert packed is not None, "a packed row is for a model that runs it"
    hidden_SD, head = packed.hidden(one.row), packed.head

    @torch.no_grad()
    def logits(start: int, stop: int) -> Tensor:
        found_SV: Tensor = head(hidden_SD[start:stop])
        return found_SV.float()

    return logits


def padded_logits(model: Any, examples: Sequence[Example], *, pad_id: int, side: Any = "right") -> Tensor:
    """Logits at the target positions of a padded batch, example by example, [S, V]."""
    batch = collate(examples, pad_id, side=side).to(next(model.parameters()).device)
    return target_logits(model, batch)[0]


def _packed(row: PackedRow, names: Sequence[int], examples: Sequence[Example]) -> TargetPass:
    example_S = np.asarray(names)[row.example_S]
    start_S = np.flatnonzero(np.diff(example_S, prepend=-1))  # where each example's positions begin
    count_S = np.diff(start_S, append=len(example_S))
    return TargetPass(
        example_S=example_S,
        place_S=np.arange(len(example_S)) - np.repeat(start_S, count_S),
        examples={names[place]: examples[names[place]] for place in row.examples},
        row=row,
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of an example's targets, with all that stands before them."""

    example: Example
    owner: int
    place: int

    @property
    def columns(self) -> frozenset[int]:
        return frozenset(np.flatnonzero(self.example.labels[1:] != IGNORE).tolist())


def _padded(group: Sequence[_Piece]) -> TargetPass:
    counts = [one.example.num_target_tokens for one in group]
    places = [one.place + np.arange(count) for one, count in zip(group, counts, strict=True)]
    return TargetPass(
        example_S=np.repeat([one.owner for one in group], counts),
        place_S=np.concatenate(places),
        examples={one.owner: one.example for one in group},
        row=None,
    )


def _cut(example: Example, owner: int, most: int) -> list[_Piece]:
    """Cut an example's targets into runs that fit, each with everything before its last target."""
    starts = range(0, example.num_target_tokens, most)
    return [_Piece(with_targets(example, start, start + most), owner, start) for start in starts]


def _groups(pieces: Sequence[_Piece], most: int) -> list[list[_Piece]]:
    """Group pieces so that rows times columns with logits stay within `most`, longest first.

    Two pieces of one example never meet: all but its last fill a group.
    """
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
