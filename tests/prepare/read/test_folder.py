import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import SourceRow, open_source


def row(number: int) -> str:
    return json.dumps({"a": number}) + "\n"


def held(source: Any, split: str | None = None) -> list[int]:
    return [int(one.value["a"]) for one in source.rows(split) if isinstance(one, SourceRow)]


def test_the_files_of_a_folder_are_read_in_the_order_of_their_paths(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    write("a\n3\n", "data/b/part.csv")
    write(row(2) + "\n" + row(4), "data/b.jsonl")
    write("[" + row(1) + "]", "data/a.json")
    source = open_source(tmp_path / "data")
    assert source.name == "data"
    assert [part.file for part in source.parts] == ["a.json", "b/part.csv", "b.jsonl"]
    assert held(source) == [1, 3, 2, 4]
    assert source.described == "3 files: 1 JSON, 1 CSV, 1 JSON Lines"
    assert source.splits == ("train",)


def test_what_is_no_data_is_passed_over_and_said(tmp_path: Path, write: Callable[..., Path]) -> None:
    write(row(1), "data/a.jsonl")
    for name in ("README.md", "dataset_info.json", "LICENSE", "notes.txt", "MANIFEST.json", ".cache/x.jsonl"):
        write(row(9), f"data/{name}")
    write("", "data/part-00001.jsonl")  # as Spark leaves them
    source = open_source(tmp_path / "data")
    assert held(source) == [1]
    passed_over = "LICENSE, MANIFEST.json, README.md, dataset_info.json, notes.txt, part-00001.jsonl"
    assert source.notes == (f"passed over in data: {passed_over}",)


def test_files_named_as_splits_are_splits(tmp_path: Path, write: Callable[..., Path]) -> None:
    for number, name in enumerate(
        ["train_1.jsonl", "train_2.jsonl", "valid.jsonl", "test.jsonl", "more.jsonl"]
    ):
        write(row(number), f"data/{name}")
    source = open_source(tmp_path / "data")
    # A file that says nothing, beside others that do, is there to be trained on.
    assert {split: held(source, split) for split in source.splits} == {
        "train": [4, 0, 1],
        "test": [3],
        "validation": [2],
    }


def test_files_without_a_column_in_common_are_refused(tmp_path: Path, write: Callable[..., Path]) -> None:
    write('{"instruction": "a", "output": "b"}\n', "data/a.jsonl")
    write("question,answer\na,b\n", "data/b.csv")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "data")
    assert '"a.jsonl" and "b.csv" have no column in common' in caught.value.message
    assert "instruction, output | answer, question" in caught.value.message


def test_columns_that_some_files_lack_are_said(tmp_path: Path, write: Callable[..., Path]) -> None:
    write('{"a": 1, "b": 2}\n', "data/a.jsonl")
    write('{"a": 1}\n', "data/b.jsonl")
    assert open_source(tmp_path / "data").notes == ("not every file has the columns b",)


@pytest.mark.parametrize("name", [None, "README.md", "notes.txt"])
def test_a_folder_without_data_is_refused(
    name: str | None, tmp_path: Path, write: Callable[..., Path]
) -> None:
    (tmp_path / "data").mkdir()
    if name:
        write("x", f"data/{name}")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "data")
    assert '"data" is a folder without data files' in caught.value.message
    assert f"it holds {name or 'nothing'}" in caught.value.message


def test_the_hash_of_a_folder_follows_content_and_names(tmp_path: Path, write: Callable[..., Path]) -> None:
    write(row(1), "data/a.jsonl")
    write(row(2), "data/b.jsonl")
    before = open_source(tmp_path / "data").sha256()
    assert open_source(tmp_path / "data").sha256() == before
    write(row(3), "data/b.jsonl")
    changed = open_source(tmp_path / "data").sha256()
    (tmp_path / "data" / "b.jsonl").rename(tmp_path / "data" / "c.jsonl")
    assert len({before, changed, open_source(tmp_path / "data").sha256()}) == 3


def test_a_dataset_that_was_saved_is_read_with_its_splits(tmp_path: Path) -> None:
    import datasets

    made = {
        name: datasets.Dataset.from_list([{"a": start + n} for n in range(4)])
        for name, start in (("train", 0), ("validation", 10), ("test_sft", 20))
    }
    datasets.DatasetDict(made).save_to_disk(tmp_path / "saved", num_shards=dict.fromkeys(made, 2))
    source = open_source(tmp_path / "saved")
    assert {split: held(source, split) for split in source.splits} == {
        "train": [0, 1, 2, 3],
        "validation": [10, 11, 12, 13],
        "test_sft": [20, 21, 22, 23],
    }
    assert source.parts[0].file == "train/data-00000-of-00002.arrow"
    assert source.described == "6 files: 6 Arrow stream"
    made["train"].select([3, 1]).save_to_disk(tmp_path / "one")
    assert held(open_source(tmp_path / "one")) == [3, 1]


def test_a_saved_dataset_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([{"a": n} for n in range(4)]).save_to_disk(tmp_path / "saved", num_shards=2)
    (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"names data-00001-of-00002\.arrow, and that is not there"):
        open_source(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{oops")
    with pytest.raises(DataError, match=r"copy or save the dataset again"):
        open_source(tmp_path / "saved")


def test_a_dataset_that_was_prepared_is_not_prepared_again(tmp_path: Path) -> None:
    import datasets

    rows = [{"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [-100, 2], "example_id": "a#1"}]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="is tokenised already"):
        open_source(tmp_path / "saved")
