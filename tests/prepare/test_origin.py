"""A data file is opened: its first rows say what it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lorascope.errors import DataError
from lorascope.prepare.origin import open_origin
from lorascope.run.progress import SILENT, Observer

GOOD = {"instruction": "a", "output": "b"}
BAD = {"instruction": "a", "output": ""}


def test_all_rows_come_though_the_first_were_looked_at(write_rows: Callable[..., Path]) -> None:
    origin = open_origin(write_rows([{**GOOD, "id": n} for n in range(1000)], "rows.jsonl"), SILENT)
    assert [row.line for row in origin.rows()] == list(range(1, 1001))


def test_columns_are_found_though_the_first_rows_are_bad(write_rows: Callable[..., Path]) -> None:
    origin = open_origin(write_rows([None, 3, {}, GOOD], "rows.jsonl"), SILENT)
    assert origin.shape.name == "alpaca"
    assert [one.row for one in origin.sample()] == [4]


def test_columns_that_nothing_is_learnt_from_are_named(write_rows: Callable[..., Path]) -> None:
    assert open_origin(write_rows([{**GOOD, "id": 1, "source": "x"}]), SILENT).unused == ("id", "source")
    assert open_origin(write_rows([GOOD]), SILENT).unused == ()


def test_two_files_of_one_name_can_be_told_apart(write_rows: Callable[..., Path]) -> None:
    origin = open_origin(write_rows([GOOD], "rows.json"), SILENT, file="validation/rows.json")
    assert origin.sample()[0].example_id == "validation/rows.json#1"


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
