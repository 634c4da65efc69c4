"""Shared prefixes: groups cover every example, and what they save is what trying every grouping saves."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.engine.prefixes import LEAST_SHARED, prefix_groups

PREAMBLE = np.arange(100, 100 + LEAST_SHARED + 4)


def row(*tail: int, prefix: np.ndarray = PREAMBLE) -> np.ndarray:
    return np.concatenate([prefix, np.array(tail)])


def saved(ids: list[np.ndarray], limits: list[int], groups: list[tuple[int, ...]]) -> int:
    """Tokens that a grouping saves, by definition."""
    total = 0
    for group in groups:
        common = 0
        while common < min(limits[n] for n in group) and len({int(ids[n][common]) for n in group}) == 1:
            common += 1
        total += (len(group) - 1) * common if common >= LEAST_SHARED else 0
    return total


def partitions(items: list[int]) -> Iterator[list[tuple[int, ...]]]:
    """Every way of dealing items to groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for partition in partitions(rest):
        yield [(first,), *partition]
        for place, group in enumerate(partition):
            yield [*partition[:place], (first, *group), *partition[place + 1 :]]


def test_examples_with_one_preamble_share_it_up_to_their_targets() -> None:
    ids = [row(1, 2, 3), row(4, 5), row(1, 9)]
    groups = prefix_groups(ids, [len(PREAMBLE)] * 3)
    assert [(sorted(group.members), group.length) for group in groups] == [([0, 1, 2], len(PREAMBLE))]
    (short,) = prefix_groups(ids, [len(PREAMBLE), LEAST_SHARED, len(PREAMBLE)])
    assert short.length == LEAST_SHARED


def test_a_prefix_too_short_to_pay_is_not_shared() -> None:
    few = PREAMBLE[: LEAST_SHARED - 1]
    groups = prefix_groups([row(1, prefix=few), row(2, prefix=few)], [len(few)] * 2)
    assert [(group.members, group.length) for group in groups] == [((0,), 0), ((1,), 0)]


def test_two_preambles_make_two_groups_though_both_begin_alike() -> None:
    other = np.concatenate([PREAMBLE[:LEAST_SHARED], np.arange(300, 330)])
    ids = [row(1), row(2), row(3, prefix=other), row(4, prefix=other)]
    groups = prefix_groups(ids, [len(one) - 1 for one in ids])
    assert {(tuple(sorted(group.members)), group.length) for group in groups} == {
        ((0, 1), len(PREAMBLE)),
        ((2, 3), len(other)),
    }


@pytest.mark.end_to_end
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_no_other_grouping_of_one_level_saves_more(data: st.DataObject) -> None:
    num = data.draw(st.integers(1, 6))
    ids = []
    for _ in range(num):
        cut = data.draw(st.integers(0, len(PREAMBLE)))
        bits = data.draw(st.lists(st.integers(1, 2), min_size=1, max_size=12))
        ids.append(np.concatenate([PREAMBLE[:cut], np.array(bits)]))
    limits = [data.draw(st.integers(0, len(one) - 1)) for one in ids]
    found = prefix_groups(ids, limits)
    assert sorted(n for group in found for n in group.members) == list(range(num))
    for group in found:
        assert group.length <= min(limits[n] for n in group.members)
        assert len({ids[n][: group.length].tobytes() for n in group.members}) == 1
    ours = sum((len(group.members) - 1) * group.length for group in found)
    best = max(saved(ids, limits, partition) for partition in partitions(list(range(num))))
    # Sorted by their ids, examples of one group need not be neighbours where a limit cuts one of them short.
    assert ours <= best
    if len(set(limits)) == 1 or all(limit == len(one) - 1 for limit, one in zip(limits, ids, strict=True)):
        assert ours == best


def test_nothing_gives_no_group() -> None:
    assert prefix_groups([], []) == []


@pytest.mark.parametrize("num", [1, 2, 300])
def test_equal_examples_are_one_group(num: int) -> None:
    ids = [row(1, 2)] * num
    groups = prefix_groups(ids, [len(PREAMBLE) + 1] * num)
    assert sum(len(group.members) for group in groups) == num
    assert len(groups) == 1
