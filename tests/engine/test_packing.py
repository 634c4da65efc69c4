"""Packed rows: every example whole, every target predicted where it is, whatever shares what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.engine.packing import PackedRow, Text, pack_rows, tokens_in

IGNORE = -100


def text(ids: list[int], first_target: int) -> Text:
    own = np.array(ids)
    labels = own.copy()
    labels[:first_target] = IGNORE
    return Text(own, labels)


def read_back(row: PackedRow, place: int) -> list[int]:
    """The ids of one example of a row: its own segment behind the prefix that it continues."""
    at = row.examples.index(place)
    children = [n for n in range(len(row.segments)) if n not in {one.parent for one in row.segments}]
    own = row.segments[children[at]]
    parts = [row.segments[own.parent]] if own.parent >= 0 else []
    found: list[int] = []
    for one in [*parts, own]:
        found += row.input_ids_T[one.start : one.start + one.length].tolist()
    return found


def test_two_examples_with_one_preamble_store_it_once() -> None:
    preamble = list(range(10, 20))
    texts = [text([*preamble, 1, 2, 3], 11), text([*preamble, 4, 5], 10)]
    (row,) = pack_rows(texts, row_tokens=100, share=True)
    assert row.num_tokens == 10 + 3 + 2
    assert row.position_ids_T.tolist() == [*range(10), 10, 11, 12, 10, 11]
    by_example = {int(n): row.target_S[row.example_S == n].tolist() for n in (0, 1)}
    assert by_example == {0: [2, 3], 1: [4, 5]}
    # The first target of the second example is predicted by the preamble's last token, which stands at 9.
    assert row.predict_S[row.example_S == 1].tolist()[0] == 9
    assert pack_rows(texts, row_tokens=100, share=False)[0].num_tokens == 25


def test_a_target_is_never_part_of_what_is_shared() -> None:
    ids = list(range(10, 40))
    texts = [text([*ids, 1], 12), text([*ids, 2], 31)]
    (row,) = pack_rows(texts, row_tokens=100, share=True)
    shared = row.segments[0]
    assert shared.length == 12  # the first example learns from its thirteenth token on
    assert len(row.target_S) == 31 - 12  # all of the first's; the second has none


def test_a_row_larger_than_the_budget_is_cut_between_examples_and_never_within() -> None:
    preamble = list(range(10, 30))
    texts = [text([*preamble, *range(100 + n, 110 + n)], 25) for n in range(10)]
    rows = pack_rows(texts, row_tokens=60, share=True)
    assert all(row.num_tokens <= 60 for row in rows)
    assert sorted(n for row in rows for n in row.examples) == list(range(10))
    long = pack_rows([text(list(range(200)), 5)], row_tokens=60, share=True)
    assert [row.num_tokens for row in long] == [200]


def test_a_row_that_moved_names_its_examples_by_their_new_places() -> None:
    (row,) = pack_rows([text([1, 2, 3], 1)], row_tokens=10, share=False)
    moved = row.shifted(7)
    assert (moved.examples, moved.example_S.tolist()) == ((7,), [7, 7])


@pytest.mark.end_to_end
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_every_example_is_whole_and_every_target_predicted_by_what_stands_before_it(
    data: st.DataObject,
) -> None:
    preamble = list(range(50, 70))
    texts = []
    for _ in range(data.draw(st.integers(1, 8))):
        start = preamble[: data.draw(st.integers(0, 20))]
        ids = [*start, *data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=15))]
        labels = np.array(ids)
        labels[np.array(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))] = IGNORE
        texts.append(Text(np.array(ids), labels))
    share, budget = data.draw(st.booleans()), data.draw(st.integers(1, 120))
    rows = pack_rows(texts, row_tokens=budget, share=share)
    assert sorted(n for row in rows for n in row.examples) == list(range(len(texts)))
    assert tokens_in(rows) <= sum(len(one.ids) for one in texts)
    for row in rows:
        assert row.num_tokens <= budget or len(row.examples) == 1
        assert sum(one.length for one in row.segments) == row.num_tokens
        for place in row.examples:
            assert read_back(row, place) == texts[place].ids.tolist()
            mine = row.example_S == place
            wanted = np.flatnonzero(texts[place].labels[1:] != IGNORE) + 1
            assert row.target_S[mine].tolist() == texts[place].ids[wanted].tolist()
            # The position before a target holds the token before it, at its place in the example.
            assert row.position_ids_T[row.predict_S[mine]].tolist() == (wanted - 1).tolist()
            assert row.input_ids_T[row.predict_S[mine]].tolist() == texts[place].ids[wanted - 1].tolist()


@pytest.mark.parametrize("share", [False, True])
def test_an_example_without_targets_predicts_nothing(share: bool) -> None:
    ids = np.arange(12)
    (row,) = pack_rows([Text(ids, np.full(12, IGNORE))] * 2, row_tokens=100, share=share)
    assert len(row.predict_S) == 0
