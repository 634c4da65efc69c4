"""Examples of one optimizer step -> packed rows: each token once, each example for itself.

Examples stand side by side without padding; a prefix that several share stands once before them. Who may see
whom is told by segments, never by a mask: a token sees the tokens before it in its own segment, and all of
the segment its own one continues. Shapes: T tokens in a row, S target positions, N examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lorascope.engine.prefixes import PrefixGroup, prefix_groups


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that stand together in a row.

    Attributes:
        start: Place of its first token in the row.
        length: Its tokens.
        parent: The segment it continues, as its place among the row's segments; -1 where it begins a text.
    """

    start: int
    length: int
    parent: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """One forward pass over several examples.

    Attributes:
        input_ids_T: int64.
        position_ids_T: Place of each token in its own example, int64.
        segments: In order; together they cover the row.
        predict_S: Position whose hidden state predicts each target, int64; the last position of a shared
            prefix may stand several times, once for each example that goes on with a target.
        target_S: The tokens to predict, int64.
        example_S: Place of the example each belongs to, int64.
        examples: Places of the examples in the row.
    """

    input_ids_T: np.ndarray
    position_ids_T: np.ndarray
    segments: tuple[Segment, ...]
    predict_S: np.ndarray
    target_S: np.ndarray
    example_S: np.ndarray
    examples: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens computed."""
        return len(self.input_ids_T)

    def shifted(self, by: int) -> "PackedRow":
        """The same row for examples that stand `by` places later."""
        moved = tuple(place + by for place in self.examples)
        return replace(self, example_S=self.example_S + by, examples=moved)


@dataclass(frozen=True, slots=True)
class Text:
    """What is packed: token ids and labels of one example, [T] each; -100 where a token is no target."""

    ids: np.ndarray
    labels: np.ndarray

    @property
    def shareable(self) -> int:
        """Tokens before its first target, and never all: what other examples may share.

        A target in a shared prefix would count once and not once for each example. The first target itself
        has a place in the example's own segment, though the prefix's last token predicts it.
        """
        targets = np.flatnonzero(self.labels[1:] != -100)
        return int(targets[0]) + 1 if len(targets) else len(self.ids) - 1


def pack_rows(texts: Sequence[Text], *, row_tokens: int, share: bool) -> list[PackedRow]:
    """Lay examples out in rows.

    Args:
        texts: The step's examples, none empty.
        row_tokens: Most tokens in a row; a longer example gets a row of its own.
        share: Whether prefixes that examples have in common stand once.

    Returns:
        Rows that cover every example once. Which example stands where changes nothing but rounding.
    """
    lengths = [len(text.ids) for text in texts]
    if share:
        groups = prefix_groups([text.ids for text in texts], [text.shareable for text in texts])
    else:
        groups = [PrefixGroup((place,), 0) for place in range(len(texts))]
    return [_laid_out(row, texts) for row in _rows(groups, lengths, row_tokens)]


def tokens_in(rows: Sequence[PackedRow]) -> int:
    """Tokens computed in several rows."""
    return sum(row.num_tokens for row in rows)


def _size(group: PrefixGroup, lengths: Sequence[int]) -> int:
    return group.length + sum(lengths[place] - group.length for place in group.members)


def _rows(groups: Sequence[PrefixGroup], lengths: Sequence[int], row_tokens: int) -> list[list[PrefixGroup]]:
    """Deal groups to rows, largest first, each to the fullest row that has room for it."""
    fitting = [part for group in groups for part in _parts(group, lengths, row_tokens)]
    fitting.sort(key=lambda group: (-_size(group, lengths), group.members))
    rows: list[list[PrefixGroup]] = []
    room: list[int] = []
    for group in fitting:
        size = _size(group, lengths)
        best = (
            min((left, place) for place, left in enumerate(room) if left >= size)
            if _fits(room, size)
            else None
        )
        if best is None:
            rows.append([group])
            room.append(row_tokens - size)
        else:
            rows[best[1]].append(group)
            room[best[1]] -= size
    return rows


def _fits(room: Sequence[int], size: int) -> bool:
    return any(left >= size for left in room)


def _parts(group: PrefixGroup, lengths: Sequence[int], row_tokens: int) -> list[PrefixGroup]:
    """Cut a group that is larger than a row into groups that are not, each with the prefix for itself."""
    if _size(group, lengths) <= row_tokens:
        return [group]
    parts: list[list[int]] = []
    left = 0
    for place in sorted(group.members, key=lambda place: (-lengths[place], place)):
        own = lengths[place] - group.length
        if not parts or own > left:
            parts.append([])
            left = row_tokens - group.length
        parts[-1].append(place)
        left -= own
    return [PrefixGroup(tuple(part), group.length if len(part) > 1 else 0) for part in parts]


def _laid_out(groups: Sequence[PrefixGroup], texts: Sequence[Text]) -> PackedRow:
    ids: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    segments: list[Segment] = []
    predict: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    used = 0
    for group in groups:
        parent, shared = -1, group.length
        if shared:
            ids.append(texts[group.members[0]].ids[:shared])
            positions.append(np.arange(shared))
            parent = len(segments)
            segments.append(Segment(used, shared))
            used += shared
        for place in group.members:
            text = texts[place]
            own = len(text.ids) - shared
            ids.append(text.ids[shared:])
            positions.append(np.arange(shared, len(text.ids)))
            segments.append(Segment(used, own, parent))
            # The token at p is predicted at p - 1: in its own segment, or the last of the prefix.
            target = np.flatnonzero(text.labels[1:] != -100)
            before = segments[parent].start if parent >= 0 else 0
            predict.append(np.where(target < shared, before + target, used + target - shared))
            targets.append(text.ids[target + 1])
            owners.append(np.full(len(target), place))
            used += own
    return PackedRow(
        input_ids_T=np.concatenate(ids).astype(np.int64),
        position_ids_T=np.concatenate(positions).astype(np.int64),
        segments=tuple(segments),
        predict_S=np.concatenate(predict).astype(np.int64),
        target_S=np.concatenate(targets).astype(np.int64),
        example_S=np.concatenate(owners).astype(np.int64),
        examples=tuple(place for group in groups for place in group.members),
    )
