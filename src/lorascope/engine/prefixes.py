"""Which examples begin with the same tokens, so that those are computed once.

Found on token ids, never on text: two prompts may share their words and not their tokens. One level deep: an
example shares one prefix with the others of its group, and the group stores it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LEAST_SHARED = 8
"""Tokens below which sharing costs more in bookkeeping than it saves."""


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Examples that begin with the same tokens.

    Attributes:
        members: Their places in the sequence given.
        length: Tokens they share; 0 for an example that stands alone.
    """

    members: tuple[int, ...]
    length: int


def prefix_groups(ids: Sequence[np.ndarray], limits: Sequence[int]) -> list[PrefixGroup]:
    """Group examples by the prefixes they share, so that the fewest tokens are computed.

    Sorted by their ids, examples with a common prefix stand together, and the prefix of a stretch is the
    shortest of the prefixes that neighbours share. Cutting the sorted list into stretches that save most,

        saved(i..j) = (j - i) * shortest common prefix of i..j,

    is a dynamic programme over its ends, O(N^2).

    Args:
        ids: Token ids of each example.
        limits: Most tokens of each that may be shared: those before its first target, and never all.

    Returns:
        Groups that cover every example once.
    """
    num = len(ids)
    order = sorted(range(num), key=lambda place: ids[place].tolist())
    common = [_common(ids[one], ids[other], limits[one], limits[other]) for one, other in pairwise(order)]
    saved, starts = np.zeros(num + 1, dtype=np.int64), np.arange(num + 1) - 1
    for end in range(1, num + 1):
        # Stretches that end here: the shortest common prefix of the last 2, 3, ... examples.
        shortest = np.minimum.accumulate(np.array(common[: end - 1][::-1], dtype=np.int64))
        shortest = np.where(shortest >= LEAST_SHARED, shortest, 0)
        sizes = np.arange(1, len(shortest) + 1)
        gains = saved[end - 1 - sizes] + sizes * shortest if len(shortest) else np.zeros(0, dtype=np.int64)
        saved[end] = saved[end - 1]
        if len(gains) and gains.max() > saved[end]:
            best = int(gains.argmax())
            saved[end], starts[end] = gains[best], end - 2 - best
    groups, end = [], num
    while end:
        start = int(starts[end])
        length = min(common[start : end - 1], default=0)
        groups.append(PrefixGroup(tuple(order[start:end]), length))
        end = start
    return groups[::-1]


def _common(one: np.ndarray, other: np.ndarray, *limits: int) -> int:
    """Tokens that two examples have in common from their start, up to both limits."""
    most = min(len(one), len(other), *limits)
    if most <= 0:
        return 0
    differ = one[:most] != other[:most]
    return int(differ.argmax()) if differ.any() else most
