"""What the decisions of prepare need to know of each example: a few numbers, however long its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of N examples, in the order in which they were read; 27 bytes each.

    Attributes:
        origin_N: Place of their source among the sources, int16.
        side_N: The side that their source decides, int8; see `origin.ANY_SIDE`.
        prompt_N: Hash of the normalised prompt, uint64.
        answer_N: Hash of the normalised answers, uint64.
        num_tokens_N: Length, int32.
        num_targets_N: Targets, int32.
    """

    origin_N: np.ndarray
    side_N: np.ndarray
    prompt_N: np.ndarray
    answer_N: np.ndarray
    num_tokens_N: np.ndarray
    num_targets_N: np.ndarray

    @property
    def both_N(self) -> np.ndarray:
        """Prompt and answer taken together, [N] of pairs that compare as one."""
        pair = np.dtype([("prompt", self.prompt_N.dtype), ("answer", self.answer_N.dtype)])
        return np.stack([self.prompt_N, self.answer_N], axis=1).view(pair)[:, 0]

    def __len__(self) -> int:
        return len(self.num_tokens_N)

    def at(self, places: np.ndarray) -> "Facts":
        """Those of some examples: places or a mask."""
        return Facts(**{name: getattr(self, name)[places] for name in _DTYPES})


_DTYPES: Mapping[str, type] = {
    "origin_N": np.int16,
    "side_N": np.int8,
    "prompt_N": np.uint64,
    "answer_N": np.uint64,
    "num_tokens_N": np.int32,
    "num_targets_N": np.int32,
}


def facts_of(columns: Mapping[str, Sequence[int]]) -> Facts:
    """Facts from lists of numbers, one list per attribute; 0 where there is none."""
    num = len(next(iter(columns.values())))
    return Facts(
        **{name: np.array(columns.get(name, [0] * num), dtype=kind) for name, kind in _DTYPES.items()}
    )


def joined(parts: Sequence[Facts]) -> Facts:
    """Facts of several chunks, one after the other."""
    return Facts(
        **{
            name: np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, dtype=kind)])
            for name, kind in _DTYPES.items()
        }
    )
