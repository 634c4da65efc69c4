from typing import Literal

import numpy as np
import pytest

from lorascope.lm.batches import collate, pad_id_of, rows_within
from lorascope.run.dataset import IGNORE, Example

ROWS = [
    Example(example_id="a", input_ids=np.array([5, 6, 7]), labels=np.array([IGNORE, 6, 7])),
    Example(example_id="b", input_ids=np.array([8]), labels=np.array([IGNORE])),
]


def test_rows_are_padded_on_the_right() -> None:
    batch = collate(ROWS, pad_id=7)  # 7 is a real token too: only lengths say what is padding
    assert batch.input_ids_BT.tolist() == [[5, 6, 7], [8, 7, 7]]
    assert batch.attention_mask_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.position_ids_BT.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert batch.labels_BT.tolist() == [[IGNORE, 6, 7], [IGNORE, IGNORE, IGNORE]]


def test_rows_are_padded_on_the_left_with_positions_from_their_own_first_token() -> None:
    batch = collate(ROWS, pad_id=0, side="left")
    assert batch.input_ids_BT.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert batch.attention_mask_BT.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.position_ids_BT.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert batch.labels_BT.tolist() == [[IGNORE, 6, 7], [IGNORE, IGNORE, IGNORE]]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_row_alone_is_not_padded(side: Literal["right", "left"]) -> None:
    batch = collate(ROWS[:1], pad_id=0, side=side)
    assert (batch.input_ids_BT.tolist(), batch.attention_mask_BT.tolist()) == ([[5, 6, 7]], [[1, 1, 1]])


class FakeTokenizer:
    def __init__(self, pad: int | None, eos: int) -> None:
        self.pad_token_id, self.eos_token_id = pad, eos


def test_the_end_of_text_pads_where_there_is_no_pad_token() -> None:
    assert pad_id_of(FakeTokenizer(None, 4)) == 4
    assert pad_id_of(FakeTokenizer(0, 4)) == 0


@pytest.mark.parametrize("most", [None, 3])
@pytest.mark.parametrize("row_tokens", [1, 10, 100, 10_000])
def test_passes_cover_every_example_once_within_the_budget(row_tokens: int, most: int | None) -> None:
    lengths = np.random.default_rng(0).integers(1, 60, size=101).tolist()
    groups = rows_within(lengths, row_tokens=row_tokens, most=most)
    assert sorted(index for group in groups for index in group) == list(range(101))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * longest <= row_tokens
        assert most is None or len(group) <= most


def test_passes_hold_neighbours_in_length() -> None:
    # Longest first, 20 tokens a pass: 2 x 9 fit and 3 x 9 do not, so (9, 8); then 4 x 5 fit: (5, 4, 2, 1).
    assert rows_within([1, 9, 4, 8, 2, 5], row_tokens=20) == [[1, 3], [5, 2, 4, 0]]
    assert rows_within([], row_tokens=20) == []


def test_an_example_above_the_budget_gets_a_pass_of_its_own() -> None:
    assert rows_within([30, 30, 5, 5], row_tokens=10) == [[0], [1], [2, 3]]
