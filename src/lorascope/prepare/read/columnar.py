"""Parquet and Arrow files -> rows, a batch at a time."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.prepare.read.compressed import explaining_damage, open_bytes
from lorascope.prepare.read.faults import unreadable
from lorascope.prepare.read.rows import BadRow, Content, Row, SourceRow, excerpt_of

_MAGICS = {b"PAR1": "Parquet", b"ARROW1\0\0": "Arrow", b"\xff\xff\xff\xff": "Arrow stream"}
_MOST_ROWS = 2000


def columnar_format(head: bytes) -> str | None:
    """Say what a file's first bytes announce: "Parquet", "Arrow", "Arrow stream", or None of them."""
    return next((name for magic, name in _MAGICS.items() if head.startswith(magic)), None)


@dataclass(frozen=True, slots=True)
class Columnar:
    """A file of columns."""

    path: Path
    compression: str | None
    form: str

    @property
    def described(self) -> str:
        """As in "Parquet" or "Arrow, zstd"."""
        return f"{self.form}{f', {self.compression}' if self.compression else ''}"

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def columns(self) -> dict[str, str]:
        """Each column with its Arrow type, as in {"text": "string"}."""
        with self._open() as file:
            schema = _schema(file, self.form)
        return {field.name: str(field.type) for field in schema}

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Decode batch by batch; making rows of a batch, the slow part, is left to whoever reads it."""
        row = 1
        with self._open() as file:
            for batch in _batches(file, self.form, num_bytes):
                for part in _small(batch, num_bytes):
                    yield Batch(_as_bytes(part), row)
                    row += part.num_rows

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open it for reading in any order; what is compressed as a whole is copied out first.

        Raises:
            DataError: It is damaged; also from the body of the `with`.
        """
        import pyarrow as pa

        try:
            if self.compression is None:
                with pa.OSFile(str(self.path)) as file:
                    yield file
                return
            with tempfile.TemporaryFile() as copy:
                with (
                    explaining_damage(self.path, self.compression),
                    open_bytes(self.path, self.compression) as packed,
                ):
                    shutil.copyfileobj(packed, copy, 1 << 20)
                copy.seek(0)
                yield copy
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0][:100]
            raise unreadable(self.path, reason, f"it is no whole {self.form} file") from error


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring rows as columns.

    Attributes:
        data: An Arrow stream of one batch.
        row: 1-based row of the first in its file.
    """

    data: bytes
    row: int

    def rows(self) -> Iterator[Row]:
        """Make rows of the columns."""
        import pyarrow as pa

        (batch,) = pa.ipc.open_stream(self.data)
        try:
            values = batch.to_pylist()
        except (ValueError, OverflowError):
            return _one_by_one(batch, self.row)
        return (SourceRow(number, value) for number, value in enumerate(values, start=self.row))


def _one_by_one(batch: Any, first: int) -> Iterator[Row]:
    """The rows of a batch where one holds what Python cannot: text that is not UTF-8, the year 10000."""
    for at in range(batch.num_rows):
        one = batch.slice(at, 1)
        try:
            yield SourceRow(first + at, one.to_pylist()[0])
        except UnicodeDecodeError as error:
            yield BadRow(first + at, "bad_utf8", excerpt_of(error.object.decode("utf-8", errors="replace")))
        except (ValueError, OverflowError) as error:
            yield BadRow(first + at, "unreadable_value", excerpt_of(str(error)))


def _batches(file: Any, form: str, num_bytes: int) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "Arrow stream":
        yield from pa.ipc.open_stream(file)
    elif form == "Arrow":
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        # Without a buffer of its own, a reader holds all of a row group, often a million rows.
        table = pq.ParquetFile(file, buffer_size=1 << 20)
        groups = table.metadata
        in_memory = sum(groups.row_group(at).total_byte_size for at in range(groups.num_row_groups))
        yield from table.iter_batches(batch_size=_num_rows(in_memory, groups.num_rows, num_bytes))


def _schema(file: Any, form: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "Parquet":
        return pq.read_schema(file)
    return (pa.ipc.open_stream(file) if form == "Arrow stream" else pa.ipc.open_file(file)).schema


def _small(batch: Any, num_bytes: int) -> Iterator[Any]:
    num_rows = _num_rows(batch.nbytes, batch.num_rows, num_bytes)
    for start in range(0, batch.num_rows, num_rows):
        yield batch.slice(start, num_rows)


def _num_rows(in_memory: int, num_rows: int, num_bytes: int) -> int:
    """How many rows come to about so many bytes, 1 to 2,000."""
    return max(1, min(_MOST_ROWS, num_bytes * num_rows // max(1, in_memory)))


def _as_bytes(batch: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
