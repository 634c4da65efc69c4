"""All lengths and prompts are known -> the length limit and the split of every example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.errors import DataError, explain
from lorascope.prepare.facts import Facts
from lorascope.prepare.mixture import amounts, not_used
from lorascope.prepare.split import deal, wanted_validation
from lorascope.run.data_sections import DataSection, PrepareSection
from lorascope.run.splits import ANY_SIDE, SPLITS

OVER_LENGTH, NOT_USED = -1, -2
"""Sides of examples that are left out: too long, or more than the mixture takes of their source."""
_ENOUGH = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was decided.

    Attributes:
        max_length: Longest example that is kept.
        side_N: The place in SPLITS of each example, or OVER_LENGTH or NOT_USED, [N] int8.
        largest_group: Examples of the largest group of near duplicates that had to be taken apart, because
            what is held out would have been too little; 0 where every group stays on one side.
    """

    max_length: int
    side_N: np.ndarray
    largest_group: int = 0

    def masks(self) -> dict[str, np.ndarray]:
        """Split name to which examples it holds, in the order of SPLITS, without empty ones."""
        masks = {name: self.side_N == place for place, name in enumerate(SPLITS)}
        return {name: mask for name, mask in masks.items() if mask.any()}


def settle(
    facts: Facts,
    group_N: np.ndarray,
    sections: Sequence[DataSection],
    section: PrepareSection,
    *,
    max_length: int,
    seed: int,
) -> Settled:
    """Decide which examples are kept, and where each goes.

    Args:
        facts: Of all examples.
        group_N: Of examples that must stay on one side, [N].
        sections: The sources; their weights and rows say how much of each is used.
        section: Its validation and test say how many are held out.
        max_length: Longest example that is kept.
        seed: Of the mixture, and of the order in which groups are dealt.

    Raises:
        DataError: None would be left to train on.
    """
    fits_N = facts.num_tokens_N <= max_length
    side_N = np.where(fits_N, facts.side_N, OVER_LENGTH).astype(np.int8)
    free_N = fits_N & (facts.side_N == ANY_SIDE)
    own = np.bincount(facts.origin_N[free_N], minlength=len(sections))
    left_out_N = not_used(facts.origin_N, free_N, amounts(sections, own.tolist()), seed=seed)
    side_N[left_out_N] = NOT_USED
    free = np.flatnonzero(free_N & ~left_out_N)
    sizes = _sizes(facts, section, len(free))
    if sum(sizes.values()) >= len(free):
        raise _none_left(sizes, len(free))
    dealt_N, largest = _dealt(group_N[free], facts.prompt_N[free], sizes, seed)
    places = np.array([SPLITS.index("train"), *(SPLITS.index(name) for name in sizes)], dtype=np.int8)
    side_N[free] = places[dealt_N]
    return Settled(max_length=max_length, side_N=side_N, largest_group=largest)


def _sizes(facts: Facts, section: PrepareSection, num_free: int) -> dict[str, int]:
    """How many examples are held out beside those that the sources hold out themselves."""
    has_own = {name: bool((facts.side_N == SPLITS.index(name)).any()) for name in ("validation", "test")}
    sizes = {} if has_own["validation"] else {"validation": wanted_validation(section.validation, num_free)}
    if not has_own["test"] or section.test:
        sizes["test"] = section.test
    return sizes


def _dealt(
    group_N: np.ndarray, prompt_N: np.ndarray, sizes: Mapping[str, int], seed: int
) -> tuple[np.ndarray, int]:
    """Deal by groups; where too few would be held out, by exact prompts alone."""
    dealt_N = deal(group_N, sizes, seed=seed)
    if (dealt_N > 0).sum() >= _ENOUGH * sum(sizes.values()):
        return dealt_N, 0
    exact_N = deal(prompt_N, sizes, seed=seed)
    if (exact_N > 0).sum() <= (dealt_N > 0).sum():
        return dealt_N, 0
    return exact_N, int(np.unique(group_N, return_counts=True)[1].max())


def _none_left(sizes: Mapping[str, int], num: int) -> DataError:
    return DataError(
        explain(
            f"{sum(sizes.values()):,} held-out examples leave none of {num:,} to train on",
            where="prepare.validation and prepare.test",
            why="held-out examples are taken from the same data",
            fix="hold out fewer, or give a validation file of your own",
        )
    )
