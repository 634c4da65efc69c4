import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import open_source, read_rows

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "rows.json", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n",
            "rows.json",
            "git-lfs pointer",
        ),
        (b"hello", "rows.txt", 'files of kind ".txt" are not read'),
        (b"hello", "rows", 'files of kind "" are not read'),
        (b'[\n{"a": "caf\xe9"}]', "rows.json", "byte 12 (line 2) is not UTF-8"),
        (b"a,b\n1,2\n1,\xff\n", "rows.csv", "byte 10 (line 3) is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    content: bytes, name: str, said: str, read: Read, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(content, name)
    assert said in caught.value.message
    assert str(tmp_path / name) in caught.value.message


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data.json").write_text("[]")
    with pytest.raises(DataError, match=r'did you mean "alpaca_data\.json"'):
        read_rows(tmp_path / "alpaca_dat.json")
    with pytest.raises(DataError, match="does not exist either"):
        read_rows(tmp_path / "nowhere" / "rows.json")


def test_rows_given_in_place_of_a_file_name_are_no_crash() -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_rows(Path(json.dumps(ROWS * 50)))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_rows(tmp_path)


def test_a_file_and_its_whole_path_are_one_source(write: Callable[..., Path]) -> None:
    path = write("".join(json.dumps(row) + "\n" for row in ROWS), "rows.jsonl")
    source = open_source(str(path))
    assert (source.name, source.splits, source.files, source.notes) == ("rows.jsonl", ("train",), (path,), ())
    assert source.described == "JSON Lines"
    assert source.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(chunk.file, chunk.split) for chunk in source.chunks()] == [("rows.jsonl", "train")]


def test_several_splits_are_not_read_as_one(write: Callable[..., Path]) -> None:
    path = write(json.dumps({"train": [{"a": 1}], "test": [{"a": 2}]}), "rows.json")
    with pytest.raises(DataError, match="holds several splits: train, test"):
        read_rows(path)


def test_a_local_file_has_no_revision(write: Callable[..., Path]) -> None:
    path = write('{"a": 1}\n', "rows.jsonl")
    for options in ({"revision": "main"}, {"config": "en"}):
        with pytest.raises(DataError, match="was asked for, and it is no dataset on the Hub"):
            open_source(path, **options)


def test_a_missing_file_below_a_folder_is_no_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match='did you mean "rows"'):
        open_source("data/row")
