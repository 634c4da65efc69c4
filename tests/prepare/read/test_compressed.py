import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import SourceRow, open_source

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"a": number, "b": f"text {number * 7919}"} for number in range(2000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zstd(data: bytes) -> bytes:
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(data)
    return bytes(out.getvalue())


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("how", PACKERS)
@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.zst", "rows.jsonl", "rows.json", "rows.gz"])
def test_what_compresses_a_file_is_told_by_its_content(
    how: str, name: str, write: Callable[..., Path]
) -> None:
    source = open_source(write(PACKERS[how](LINES), name))
    assert source.described == f"JSON Lines, {how}"
    assert list(source.rows()) == [SourceRow(line, row) for line, row in enumerate(ROWS, start=1)]


@pytest.mark.parametrize("how", PACKERS)
def test_every_text_format_is_read_compressed_with_its_lines(how: str, read: Read) -> None:
    pack = PACKERS[how]
    assert read(pack(b'[\n{"a": 1},\n{"a": oops},\n{"a": 3}\n]'), "rows.json.gz") == [
        (2, {"a": 1}),
        (3, "not_json"),
        (4, {"a": 3}),
    ]
    assert read(pack(b'{"data": [\n{"a": 1},\n{"a": 2}\n]}'), "rows.json.gz") == [
        (2, {"a": 1}),
        (3, {"a": 2}),
    ]
    assert read(pack(b'a;b\n"x\ny";z\nx;z\n'), "rows.csv.gz") == [
        (2, {"a": "x\ny", "b": "z"}),
        (4, {"a": "x", "b": "z"}),
    ]
    assert read(pack(b'{"a": 1}\n{"a": }\n\n{"a": 4}'), "rows.jsonl.gz") == [
        (1, {"a": 1}),
        (2, "not_json"),
        (4, {"a": 4}),
    ]


@pytest.mark.parametrize("how", PACKERS)
def test_parts_that_were_compressed_apart_are_read_as_one(how: str, write: Callable[..., Path]) -> None:
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    path = write(PACKERS[how](LINES[:half]) + PACKERS[how](LINES[half:]), "rows.jsonl.gz")
    assert len(list(open_source(path).rows())) == len(ROWS)


@pytest.mark.parametrize("how", PACKERS)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.999])
def test_a_compressed_file_that_was_cut_is_refused(how: str, left: float, write: Callable[..., Path]) -> None:
    data = PACKERS[how](LINES)
    with pytest.raises(DataError, match=f"it is cut or damaged \\({how}"):
        list(open_source(write(data[: int(len(data) * left)], "rows.jsonl.gz")).rows())


def test_a_name_alone_compresses_nothing(read: Read) -> None:
    assert read('{"a": 1}\n', "rows.jsonl.gz") == [(1, {"a": 1})]
