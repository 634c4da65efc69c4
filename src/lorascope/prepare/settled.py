"""All lengths and prompts are known -> the length limit and the split of every example."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lorascope.errors import DataError, explain
from lorascope.prepare.facts import Facts
from lorascope.prepare.split import deal, wanted_validation
from lorascope.run.sections import PrepareSection
from lorascope.run.splits import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was decided.

    Attributes:
        max_length: Longest example that is kept.
        side_N: The place in SPLITS of each example, -1 where it is left out, [N] int8.
    """

    max_length: int
    side_N: np.ndarray

    def masks(self) -> dict[str, np.ndarray]:
        """Split name to which examples it holds, in the order of SPLITS, without empty ones."""
        masks = {name: self.side_N == place for place, name in enumerate(SPLITS)}
        return {name: mask for name, mask in masks.items() if mask.any()}


def settle(
    facts: Facts, forced_N: np.ndarray, section: PrepareSection, *, max_length: int, seed: int
) -> Settled:
    """Decide which examples are kept, and where each goes.

    Args:
        facts: Of all examples.
        forced_N: The place in SPLITS of examples whose file decides, -1 of the others, [N].
        section: Its validation and test say how many are held out.
        max_length: Longest example that is kept.
        seed: Of the order in which groups are dealt.

    Raises:
        DataError: None would be left to train on.
    """
    side_N = np.where(facts.num_tokens_N <= max_length, forced_N, -2).astype(np.int8)
    free = np.flatnonzero(side_N == -1)
    sizes: dict[str, int] = {}
    if not (forced_N == SPLITS.index("validation")).any():
        sizes["validation"] = wanted_validation(section.validation, len(free))
    sizes["test"] = section.test
    if sum(sizes.values()) >= len(free):
        raise _none_left(sizes, len(free))
    places = np.array([SPLITS.index("train"), *(SPLITS.index(name) for name in sizes)], dtype=np.int8)
    side_N[free] = places[deal(facts.prompt_N[free], sizes, seed=seed)]
    return Settled(max_length=max_length, side_N=np.maximum(side_N, -1))


def _none_left(sizes: Mapping[str, int], num: int) -> DataError:
    return DataError(
        explain(
            f"{sum(sizes.values()):,} held-out examples leave none of {num:,} to train on",
            where="prepare.validation and prepare.test",
            why="held-out examples are taken from the same data",
            fix="hold out fewer, or give a validation file of your own",
        )
    )
