from collections.abc import Callable
from pathlib import Path

import pytest

from lorascope.errors import DataError
from lorascope.prepare.gather import gather, refuse_too_many_bad
from lorascope.run.progress import SILENT, Observer

GOOD = {"instruction": "a", "output": "b"}
BAD = {"instruction": "a", "output": ""}


def test_rows_keep_their_line_and_their_number(write_rows: Callable[..., Path]) -> None:
    path = write_rows([GOOD, BAD, GOOD], "rows.jsonl")
    path.write_text("\n" + path.read_text() + "\n{\n" + '{"instruction": "c", "output": "d"}')
    # Lines: 1 blank, 2 good, 3 bad, 4 good, 5 broken, 6 good.
    gathered = gather(path, SILENT)
    assert [(one.line, one.row) for one in gathered.conversations] == [(2, 1), (4, 3), (6, 5)]
    assert [(one.line, one.row, one.reason) for one in gathered.bad] == [
        (3, 2, "empty_output"),
        (5, 4, "not_json"),
    ]
    assert gathered.num_rows == 5


def test_columns_are_found_though_the_first_rows_are_bad(write_rows: Callable[..., Path]) -> None:
    gathered = gather(write_rows([None, 3, {}, GOOD], "rows.jsonl"), SILENT)
    assert gathered.shape == "alpaca"
    assert [one.reason for one in gathered.bad] == ["not_an_object", "not_an_object", "missing_instruction"]


def test_columns_that_nothing_is_learnt_from_are_named(write_rows: Callable[..., Path]) -> None:
    assert gather(write_rows([{**GOOD, "id": 1, "source": "x"}]), SILENT).unused == ("id", "source")
    assert gather(write_rows([GOOD]), SILENT).unused == ()


def test_two_files_of_one_name_can_be_told_apart(write_rows: Callable[..., Path]) -> None:
    gathered = gather(write_rows([GOOD], "rows.json"), SILENT, name="validation/rows.json")
    assert gathered.conversations[0].example_id == "validation/rows.json#1"


def test_a_csv_without_commas_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    class Listener(Observer):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    (tmp_path / "rows.csv").write_text("instruction;output\na, b;c\n")
    gathered = gather(tmp_path / "rows.csv", Listener())
    assert [message.content for message in gathered.conversations[0].messages] == ["a, b", "c"]
    assert notes == ["note: the columns of rows.csv are separated by semicolons, and read so"]
    (tmp_path / "rows.csv").write_text("instruction,output\na,c\n")
    gather(tmp_path / "rows.csv", Listener())
    assert len(notes) == 1


def test_a_file_of_values_without_columns_shows_the_first(write_rows: Callable[..., Path]) -> None:
    with pytest.raises(DataError) as caught:
        gather(write_rows(["one", "two"], "rows.jsonl"), SILENT)
    assert "holds no rows with named columns" in caught.value.message
    assert "line 1: 'one'" in caught.value.message
    assert "the first 2 rows are: str" in caught.value.message


def test_a_file_of_plain_text_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("Once upon a time\nthere was a file.\n")
    with pytest.raises(DataError, match=r"the first 2 rows are: not_json"):
        gather(tmp_path / "notes.jsonl", SILENT)


@pytest.mark.parametrize("text", ["[]", "\n\n", "[\n]\n"])
def test_a_file_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(DataError, match="holds no rows"):
        gather(tmp_path / "rows.json", SILENT)


@pytest.mark.parametrize(
    ("num_bad", "num_rows", "max_dropped", "stops"),
    [
        (10, 11, 0.0, False),  # ten are listed, never a stop
        (11, 2000, 0.01, False),  # 0.55 %
        (20, 2000, 0.01, False),  # exactly 1 % is accepted
        (21, 2000, 0.01, True),
        (11, 12, 1.0, False),  # accepted on record
        (3, 3, 1.0, True),  # none is left
    ],
)
def test_too_many_bad_rows_stop_the_stage(
    num_bad: int, num_rows: int, max_dropped: float, stops: bool, write_rows: Callable[..., Path]
) -> None:
    path = write_rows([BAD] * num_bad + [GOOD] * (num_rows - num_bad))
    gathered = gather(path, SILENT)
    if not stops:
        refuse_too_many_bad(gathered, gathered.bad, max_dropped, path)
        return
    with pytest.raises(DataError) as caught:
        refuse_too_many_bad(gathered, gathered.bad, max_dropped, path)
    assert f"{num_bad} of {num_rows:,} rows are malformed: empty_output {num_bad}" in caught.value.message
    assert "the first is row 1 at line 1" in caught.value.message
