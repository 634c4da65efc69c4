"""How much of each source is used: weights and numbers of rows -> the examples of the mixture."""

from collections.abc import Sequence

import numpy as np

from lorascope.run.data_sections import DataSection


def amounts(sections: Sequence[DataSection], num_O: Sequence[int]) -> list[int]:
    """Say how many examples of each source are used.

    Args:
        sections: The sources as the recipe names them.
        num_O: Examples that each has, [O].

    Returns:
        For each source: its `rows`, or all where it has fewer; by `weight` w the same multiple of w for every
        weighted source, as large as the scarcest allows, so that none is used twice; else all.
    """
    weighted = [place for place, one in enumerate(sections) if one.weight is not None]
    each = min((num_O[place] / _weight(sections[place]) for place in weighted), default=0.0)
    used = []
    for section, num in zip(sections, num_O, strict=True):
        if section.weight is not None:
            used.append(min(num, round(each * section.weight)))
        else:
            used.append(num if section.rows is None else min(num, section.rows))
    return used


def _weight(section: DataSection) -> float:
    assert section.weight is not None
    return section.weight


def not_used(origin_N: np.ndarray, free_N: np.ndarray, used: Sequence[int], *, seed: int) -> np.ndarray:
    """Choose at random which examples are left out, source by source.

    Args:
        origin_N: Place of each example's source, [N].
        free_N: Examples that may be chosen or left out, [N] bool.
        used: From `amounts`.
        seed: Of the choice.

    Returns:
        [N] bool.
    """
    left_out_N = np.zeros(len(origin_N), dtype=bool)
    for place, num in enumerate(used):
        own = np.flatnonzero(free_N & (origin_N == place))
        if num < len(own):
            left_out_N[np.random.default_rng([seed, 2, place]).permutation(own)[num:]] = True
    return left_out_N
