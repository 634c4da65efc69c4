import gzip
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow, open_source, read_rows

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


def save(rows: list[Any], path: Path, form: str) -> Path:
    """Write rows as "parquet", "file" (Arrow) or "stream" (Arrow), two rows to a batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows)
    if form == "parquet":
        pq.write_table(table, path, row_group_size=2)
        return path
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def test_parquet_rows_are_read_with_their_number(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [*ROWS, {"instruction": None, "input": None, "output": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=2)
    assert list(read_rows(tmp_path / "rows.parquet")) == [
        SourceRow(number, row) for number, row in enumerate(rows, start=1)
    ]


def test_nested_parquet_columns_are_read_as_lists_of_objects(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert [row.value for row in read_rows(tmp_path / "rows.parquet") if isinstance(row, SourceRow)] == rows


@pytest.mark.parametrize("content", [b"PAR1 but no more", b"PAR1" + b"\x00" * 100 + b"PAR1", b"not at all"])
def test_what_is_no_whole_parquet_file_is_refused(content: bytes, read: Read) -> None:
    with pytest.raises(DataError, match="no whole Parquet file"):
        read(content, "rows.parquet")


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
@pytest.mark.parametrize("num_bytes", [1, 100, 1 << 20])
def test_chunks_come_to_the_whole(form: str, num_bytes: int, tmp_path: Path) -> None:
    rows = [{"n": n, "turns": [{"role": "user", "content": "x" * n}]} for n in range(50)]
    source = open_source(save(rows, tmp_path / "rows.data", form))
    chunks = list(source.chunks(num_bytes=num_bytes))
    assert [row for chunk in chunks for row in chunk.rows()] == [
        SourceRow(number, row) for number, row in enumerate(rows, start=1)
    ]
    assert num_bytes > 1 or len(chunks) == 50


@pytest.mark.parametrize(
    ("form", "said"), [("parquet", "Parquet"), ("file", "Arrow"), ("stream", "Arrow stream")]
)
def test_the_content_decides_which_format_it_is(form: str, said: str, tmp_path: Path) -> None:
    for name in ("rows.parquet", "rows.arrow", "rows.json", "rows"):
        source = open_source(save(ROWS, tmp_path / name, form))
        assert source.described == said
        assert [row.value for row in source.rows() if isinstance(row, SourceRow)] == ROWS


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
def test_a_format_that_is_compressed_once_more_is_read(form: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.gz"
    path.write_bytes(gzip.compress(save(ROWS, tmp_path / "rows", form).read_bytes()))
    source = open_source(path)
    assert source.described.endswith(", gzip")
    assert [row.value for row in source.rows() if isinstance(row, SourceRow)] == ROWS


@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
@pytest.mark.parametrize("left", [0.3, 0.9])
def test_a_file_that_was_cut_is_refused(form: str, left: float, tmp_path: Path) -> None:
    path = save(ROWS * 100, tmp_path / "rows.parquet", form)
    os.truncate(path, int(path.stat().st_size * left))
    with pytest.raises(DataError, match="it is no whole (Parquet|Arrow|Arrow stream) file"):
        list(open_source(path).rows())


def test_text_that_is_not_utf8_costs_its_own_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = pa.array([b"a", b"caf\xe9", b"c"], type=pa.binary())
    text = pa.StringArray.from_buffers(3, good.buffers()[1], good.buffers()[2])
    pq.write_table(pa.table({"a": text}), tmp_path / "rows.parquet")
    assert list(read_rows(tmp_path / "rows.parquet")) == [
        SourceRow(1, {"a": "a"}),
        BadRow(2, "bad_utf8", "caf\ufffd"),
        SourceRow(3, {"a": "c"}),
    ]


def test_a_date_that_python_does_not_know_costs_its_own_row(tmp_path: Path) -> None:
    import pyarrow as pa

    times = pa.array([0, 10**18, 86_400], type=pa.timestamp("s"))
    with (
        pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as file,
        pa.ipc.new_file(file, pa.schema({"t": times.type})) as to,
    ):
        to.write_batch(pa.record_batch({"t": times}))
    first, second, third = read_rows(tmp_path / "rows.arrow")
    assert (first, third) == (
        SourceRow(1, {"t": datetime(1970, 1, 1)}),
        SourceRow(3, {"t": datetime(1970, 1, 2)}),
    )
    assert isinstance(second, BadRow) and (second.line, second.reason) == (2, "unreadable_value")


def test_a_file_of_columns_without_rows_has_none(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": pa.array([], type=pa.string())}), tmp_path / "rows.parquet")
    assert list(read_rows(tmp_path / "rows.parquet")) == []


def test_what_was_tokenised_is_no_text(tmp_path: Path) -> None:
    save([{"input_ids": [1, 2], "labels": [-100, 2]}], tmp_path / "rows.parquet", "parquet")
    with pytest.raises(DataError, match="is tokenised already: its columns are input_ids, labels"):
        open_source(tmp_path / "rows.parquet")
