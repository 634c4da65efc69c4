from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.errors import DataError
from lorascope.run.dataset import IGNORE, Example, content_hash, examples_of, load_examples, load_splits

IDS = [[1, 2, 3, 4], [5, 6]]
LABELS = [[IGNORE, IGNORE, 3, 4], [IGNORE, 6]]


def save(folder: Path, columns: dict[str, Any], features: Any = None) -> Path:
    import datasets

    datasets.disable_progress_bars()
    dataset = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict({"train": dataset}).save_to_disk(str(folder))
    return folder


def as_lists(examples: list[Example]) -> list[tuple[list[int], list[int]]]:
    return [(one.input_ids.tolist(), one.labels.tolist()) for one in examples]


UNPADDED = list(zip(IDS, LABELS, strict=True))


def test_an_unpadded_dataset_is_read_as_it_is(tmp_path: Path) -> None:
    save(tmp_path / "d", {"input_ids": IDS, "labels": LABELS, "example_id": ["a#1", "a#2"]})
    examples, notes = load_examples(tmp_path / "d", "train")
    assert as_lists(examples) == UNPADDED
    assert [one.example_id for one in examples] == ["a#1", "a#2"]
    assert examples[0].input_ids.dtype == np.int64
    assert (notes.num_trimmed, notes.has_attention_mask, notes.stored_length) == (0, False, None)


def padded(side: str, length: int = 6, pad: int = 0) -> dict[str, list[list[int]]]:
    def fill(row: list[int], value: int) -> list[int]:
        filling = [value] * (length - len(row))
        return row + filling if side == "right" else filling + row

    return {
        "input_ids": [fill(row, pad) for row in IDS],
        "labels": [fill(row, IGNORE) for row in LABELS],
        "attention_mask": [fill([1] * len(row), 0) for row in IDS],
    }


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_of_either_side_is_cut_by_the_attention_mask(side: str, tmp_path: Path) -> None:
    save(tmp_path / "d", padded(side))
    examples, notes = load_examples(tmp_path / "d", "train")
    assert as_lists(examples) == UNPADDED
    assert [one.example_id for one in examples] == ["0", "1"]
    assert (notes.num_trimmed, notes.has_attention_mask, notes.stored_length) == (2, True, 6)


def test_a_pad_id_that_is_a_real_token_is_told_apart_by_the_mask(tmp_path: Path) -> None:
    # Pad id 4 is also the last token of the first row: only the mask knows.
    save(tmp_path / "d", padded("right", pad=4))
    assert as_lists(load_examples(tmp_path / "d", "train")[0]) == UNPADDED


def test_trailing_padding_is_cut_behind_the_last_target_where_there_is_no_mask(tmp_path: Path) -> None:
    columns = padded("right")
    del columns["attention_mask"]
    save(tmp_path / "d", columns)
    examples, notes = load_examples(tmp_path / "d", "train")
    assert as_lists(examples) == UNPADDED
    assert (notes.num_trimmed, notes.has_attention_mask) == (2, False)


def test_a_row_without_targets_and_mask_keeps_its_tokens(tmp_path: Path) -> None:
    save(tmp_path / "d", {"input_ids": [[1, 2, 3]], "labels": [[IGNORE] * 3]})
    examples, _ = load_examples(tmp_path / "d", "train")
    assert (examples[0].num_tokens, examples[0].num_target_tokens) == (3, 0)


def test_a_row_of_nothing_but_padding_is_empty(tmp_path: Path) -> None:
    save(tmp_path / "d", {"input_ids": [[0, 0]], "labels": [[IGNORE] * 2], "attention_mask": [[0, 0]]})
    examples, _ = load_examples(tmp_path / "d", "train")
    assert (examples[0].num_tokens, examples[0].num_target_tokens) == (0, 0)


def test_targets_in_the_padding_are_counted_by_row(tmp_path: Path) -> None:
    columns = padded("right")
    columns["labels"][1] = [IGNORE, 6, 0, 0, 0, IGNORE]
    save(tmp_path / "d", columns)
    _, notes = load_examples(tmp_path / "d", "train")
    assert notes.padding_targets == {"1": 3}


def test_holes_in_the_attention_mask_are_counted_by_row(tmp_path: Path) -> None:
    columns = padded("right")
    columns["attention_mask"][0] = [1, 0, 0, 1, 0, 0]
    save(tmp_path / "d", columns)
    examples, notes = load_examples(tmp_path / "d", "train")
    assert notes.mask_holes == {"0": 2}
    assert examples[0].input_ids.tolist() == IDS[0]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "int8"])
@pytest.mark.parametrize("kind", ["List", "LargeList", "fixed"])
def test_every_kind_of_integer_list_is_read(kind: str, dtype: str, tmp_path: Path) -> None:
    import datasets

    value = datasets.Value(dtype)
    ids = datasets.List(value, length=6) if kind == "fixed" else getattr(datasets, kind)(value)
    features = datasets.Features(
        {
            "input_ids": ids,
            "labels": datasets.List(datasets.Value("int64")),
            "attention_mask": datasets.List(datasets.Value("bool")),
        }
    )
    save(tmp_path / "d", padded("right"), features)
    assert as_lists(load_examples(tmp_path / "d", "train")[0]) == UNPADDED


def test_a_selection_of_rows_is_read_in_its_order(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    dataset = datasets.Dataset.from_dict(
        {"input_ids": [[n, n + 1] for n in range(5)], "labels": [[-100, n + 1] for n in range(5)]}
    )
    dataset.select([3, 1]).save_to_disk(str(tmp_path / "d"))
    examples, _ = load_examples(tmp_path / "d", "train")
    assert as_lists(examples) == [([3, 4], [IGNORE, 4]), ([1, 2], [IGNORE, 2])]


def test_a_single_dataset_is_the_train_split(tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"input_ids": IDS, "labels": LABELS}).save_to_disk(str(tmp_path / "d"))
    assert list(load_splits(tmp_path / "d")) == ["train"]


def test_a_split_without_rows_has_no_examples() -> None:
    import datasets

    ids = datasets.List(datasets.Value("int64"))
    features = datasets.Features({"input_ids": ids, "labels": ids})
    dataset = datasets.Dataset.from_dict({"input_ids": [], "labels": []}, features=features)
    assert examples_of(dataset, "in memory")[0] == []


def test_a_missing_split_names_the_nearest(tmp_path: Path) -> None:
    save(tmp_path / "d", {"input_ids": IDS, "labels": LABELS})
    with pytest.raises(DataError, match='did you mean "train"'):
        load_examples(tmp_path / "d", "trian")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"input_ids": IDS}, 'column "labels" is missing'),
        ({"text": ["a"], "labels": [[1]]}, 'column "input_ids" is missing'),
        ({"input_ids": ["a b", "c"], "labels": LABELS}, 'column "input_ids" holds string'),
        ({"input_ids": [1, 2], "labels": LABELS}, 'column "input_ids" holds int32'),
        ({"input_ids": [[0.5], [1.5]], "labels": LABELS}, 'column "input_ids" holds list'),
        ({"input_ids": [None, [5, 6]], "labels": LABELS}, 'column "input_ids" holds nulls'),
        ({"input_ids": IDS, "labels": [[1, 2, 3, None], [5, 6]]}, 'column "labels" holds nulls'),
        ({"input_ids": IDS, "labels": [[1], [5, 6]]}, "differ in length (4, 1 and none)"),
        (
            {"input_ids": IDS, "labels": LABELS, "attention_mask": [[1] * 4, [1]]},
            "differ in length (2, 2 and 1)",
        ),
    ],
)
def test_columns_that_are_no_tokenised_data_are_refused(
    columns: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    save(tmp_path / "d", columns)
    with pytest.raises(DataError) as caught:
        load_examples(tmp_path / "d", "train")
    assert problem in caught.value.message
    assert str(tmp_path / "d") in caught.value.message


def no_folder(folder: Path) -> None:
    pass


def empty_folder(folder: Path) -> None:
    folder.mkdir()


def plain_file(folder: Path) -> None:
    folder.write_text("no dataset")


def cut_arrow(folder: Path) -> None:
    save(folder, {"input_ids": IDS, "labels": LABELS})
    path = next(folder.rglob("*.arrow"))
    path.write_bytes(path.read_bytes()[:100])


def lost_arrow(folder: Path) -> None:
    save(folder, {"input_ids": IDS, "labels": LABELS})
    next(folder.rglob("*.arrow")).unlink()


def broken_info(folder: Path) -> None:
    save(folder, {"input_ids": IDS, "labels": LABELS})
    next(folder.rglob("dataset_info.json")).write_text("{")


@pytest.mark.parametrize("make", [no_folder, empty_folder, plain_file, cut_arrow, lost_arrow, broken_info])
def test_what_is_no_whole_dataset_is_our_error(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "d")
    with pytest.raises(DataError, match="cannot be read as a dataset"):
        load_splits(tmp_path / "d")


def example(ids: list[int], labels: list[int]) -> Example:
    return Example(example_id="x", input_ids=np.array(ids), labels=np.array(labels))


def test_the_first_token_of_all_is_no_target_that_can_be_scored() -> None:
    # Three labels, but nothing stands before the first token to predict it from.
    assert example([7, 8, 9], [7, 8, 9]).num_target_tokens == 2


def test_the_hash_sees_ids_labels_order_and_split_and_nothing_else() -> None:
    one, two = example([1, 2], [IGNORE, 2]), example([3, 4], [IGNORE, 4])
    base = content_hash([("train", [one, two])])
    others = [
        [("train", [two, one])],
        [("validation", [one, two])],
        [("train", [one]), ("validation", [two])],
        [("train", [one, example([3, 4], [3, 4])])],
        [("train", [example([1], [IGNORE]), example([2, 3, 4], [2, IGNORE, 4])])],
    ]
    assert len({base, *(content_hash(other) for other in others)}) == 6
    renamed = Example(example_id="y", input_ids=one.input_ids.astype(np.int32), labels=one.labels)
    assert content_hash([("train", [renamed, two])]) == base
