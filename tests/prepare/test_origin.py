"""A data file is opened: its first rows say what it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare import origin as origins
from lorascope.prepare.origin import Origin
from lorascope.run.data_sections import DataSection
from lorascope.run.progress import SILENT, Observer
from lorascope.run.splits import ANY_SIDE

GOOD = {"instruction": "a", "output": "b"}
BAD = {"instruction": "a", "output": ""}


def open_origin(path: Path, observer: Observer, **settings: Any) -> Origin:
    return origins.open_origin(DataSection(path=str(path), **settings), observer)


def test_all_rows_come_though_the_first_were_looked_at(write_rows: Callable[..., Path]) -> None:
    origin = open_origin(write_rows([{**GOOD, "id": n} for n in range(1000)], "rows.jsonl"), SILENT)
    lines = [row.line for chunk in origin.chunks() for row in chunk.rows()]
    assert lines == list(range(1, 1001))


def test_columns_are_found_though_the_first_rows_are_bad(write_rows: Callable[..., Path]) -> None:
    origin = open_origin(write_rows([None, 3, {}, GOOD], "rows.jsonl"), SILENT)
    assert origin.shape.name == "alpaca"
    assert [one.row for one in origin.sample()] == [4]


def test_columns_that_nothing_is_learnt_from_are_named(write_rows: Callable[..., Path]) -> None:
    assert open_origin(write_rows([{**GOOD, "id": 1, "source": "x"}]), SILENT).unused == ("id", "source")
    assert open_origin(write_rows([GOOD]), SILENT).unused == ()


def test_the_splits_of_a_folder_stay_what_they_are(tmp_path: Path) -> None:
    for name, said in (("train", "a"), ("valid", "b"), ("test", "c")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"instruction": said, "output": said}))
    origin = open_origin(tmp_path, SILENT)
    assert origin.sides == {"test": 2, "train": ANY_SIDE, "validation": 1}
    assert [(chunk.file, chunk.split) for chunk in origin.chunks()] == [
        ("test.jsonl", "test"),
        ("train.jsonl", "train"),
        ("valid.jsonl", "validation"),
    ]


def test_one_split_that_is_asked_for_is_dealt_like_any_rows(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"instruction": name, "output": name}))
    origin = open_origin(tmp_path, SILENT, split="test")
    assert origin.sides == {"test": ANY_SIDE}
    assert [chunk.file for chunk in origin.chunks()] == ["test.jsonl"]
    with pytest.raises(DataError, match='has no split "tset"'):
        open_origin(tmp_path, SILENT, split="tset")


def test_splits_of_unknown_meaning_are_not_guessed(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list([GOOD])
    datasets.DatasetDict({"train_sft": rows, "test_sft": rows}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="split: train_sft"):
        open_origin(tmp_path / "saved", SILENT)
    assert open_origin(tmp_path / "saved", SILENT, split="train_sft").sides == {"train_sft": ANY_SIDE}


def test_the_list_of_a_json_object_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps({"meta": [1, 2], "items": [GOOD, GOOD], "old": [BAD]}))
    origin = open_origin(tmp_path / "rows.json", SILENT, key="items")
    assert len([row for chunk in origin.chunks() for row in chunk.rows()]) == 2


def test_a_csv_without_commas_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    class Listener(Observer):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    (tmp_path / "rows.csv").write_text("instruction;output\na, b;c\n")
    (conversation,) = open_origin(tmp_path / "rows.csv", Listener()).sample()
    assert [message.content for message in conversation.messages] == ["a, b", "c"]
    assert notes == ["note: the columns of rows.csv are separated by semicolons, and read so"]
    (tmp_path / "rows.csv").write_text("instruction,output\na,c\n")
    open_origin(tmp_path / "rows.csv", Listener())
    assert len(notes) == 1


def test_a_file_of_plain_text_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("Once upon a time\nthere was a file.\n")
    with pytest.raises(DataError, match=r"the first 2 rows are: not_json"):
        open_origin(tmp_path / "notes.jsonl", SILENT)


@pytest.mark.parametrize("text", ["[]", "\n\n", "[\n]\n"])
def test_a_file_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(DataError, match="holds no rows"):
        open_origin(tmp_path / "rows.json", SILENT)
