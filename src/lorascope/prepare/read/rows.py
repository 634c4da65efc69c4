"""A row as its reader hands it over, good or bad, and neighbouring rows as one picklable chunk."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CHUNK_BYTES = 1 << 20
"""About so much text goes into a chunk: some 2,000 Alpaca rows, 10 ms of parsing."""
MAX_ROW_BYTES = 64 << 20
"""A row beyond this is named and left out: none that can be trained on is as long, and memory must not follow
a quote that was never closed."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A record as found.

    Attributes:
        line: 1-based line it starts on; the 1-based row of a Parquet or Arrow file.
        value: The parsed value.
    """

    line: int
    value: Any


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        line: As in SourceRow.
        reason: A stable code, as in "not_json".
        excerpt: Its first characters.
        row: 1-based count of rows in the file, bad ones included; 0 until somebody has counted.
        file: As in example ids; "" until somebody has said.
    """

    line: int
    reason: str
    excerpt: str
    row: int = 0
    file: str = ""


Row = SourceRow | BadRow


class Content(Protocol):
    """Neighbouring rows, small enough to send to another process and parsed where they arrive."""

    def rows(self) -> Iterator[Row]:
        """Read the rows, in file order."""
        ...


class Reader(Protocol):
    """How one file is read."""

    @property
    def described(self) -> str:
        """What the file is, as in "JSON Lines, gzip"."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know about how it is read."""
        ...

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Cut the file into contents of about so many bytes, at least one row each, in file order."""
        ...


@dataclass(frozen=True, slots=True)
class Values:
    """Rows that had to be parsed to be found.

    Attributes:
        found: Bad rows, and line and value of good ones: pairs pickle twice as fast as objects of ours.
    """

    found: tuple[tuple[int, Any] | BadRow, ...]

    def rows(self) -> Iterator[Row]:
        """Hand over the rows."""
        return (one if isinstance(one, BadRow) else SourceRow(*one) for one in self.found)


def in_contents(sized_rows: Iterable[tuple[int, Row]], num_bytes: int) -> Iterator[Values]:
    """Gather rows into contents.

    Args:
        sized_rows: Each row with about how many bytes or characters it takes.
        num_bytes: A content is closed once its rows come to this.
    """
    rows: list[tuple[int, Any] | BadRow] = []
    size = 0
    for row_size, row in sized_rows:
        rows.append(row if isinstance(row, BadRow) else (row.line, row.value))
        size += row_size
        if size >= num_bytes:
            yield Values(tuple(rows))
            rows, size = [], 0
    if rows:
        yield Values(tuple(rows))


def excerpt_of(value: Any) -> str:
    """The first 80 characters of a value, control characters escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:80])
