import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import open_source
from lorascope.prepare.read.stream import text_stream

Read = Callable[..., list[tuple[int, Any]]]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(name: str, read: Read) -> None:
    text = "instruction,input,output\na,,b\n" if name == "rows.csv" else '{"instruction": "a"}\n'
    (row,) = read(b"\xef\xbb\xbf" + text.encode(), name)
    assert next(iter(row[1])) == "instruction"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wide_characters_are_read_in_every_format(encoding: str, end: str, read: Read) -> None:
    row = {"a": "caf\u00e9 \U0001f600 \u4f60"}
    line = json.dumps(row, ensure_ascii=False)
    if encoding in ("utf-16", "utf-32") or not line.startswith("\ufeff"):
        assert read(end.join([line, "{oops}", line]).encode(encoding), "a.jsonl") == [
            (1, row),
            (2, "not_json"),
            (3, row),
        ]
        assert read(end.join(["[", line, "]"]).encode(encoding), "a.json") == [(2, row)]
        assert read(end.join(["a,b", row["a"] + ",x"]).encode(encoding), "a.csv") == [(2, {**row, "b": "x"})]


def test_another_encoding_is_said(write: Callable[..., Path]) -> None:
    source = open_source(write('{"a": 1}\n{"a": 2}\n'.encode("utf-16"), "rows.jsonl"))
    assert source.described == "JSON Lines, UTF-16"
    assert source.notes == ("rows.jsonl is UTF-16 text, and read so",)


def test_text_that_does_not_stay_in_its_encoding_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="it begins as UTF-16 text and does not stay so"):
        open_source(write('{"a": 1}\n'.encode("utf-16")[:-1], "rows.jsonl"))


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", ["rows.json", "rows.csv"])
def test_a_byte_that_is_not_utf8_far_into_a_file_is_found(name: str, write: Callable[..., Path]) -> None:
    row = '{"a": 1},\n' if name == "rows.json" else "1,2\n"
    start = "[" if name == "rows.json" else "a,b\n"
    text = (start + row * 300_000).encode()
    source = open_source(write(text + b"caf\xe9 s", name))
    with pytest.raises(DataError) as caught:
        list(source.rows())
    line = text.count(b"\n") + 1
    assert f"byte {len(text) + 3} (line {line}) is not UTF-8" in caught.value.message


def test_a_file_that_may_not_be_opened_says_so(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write('{"a": 1}\n', "rows.jsonl")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        text_stream(path)
