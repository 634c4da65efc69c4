"""CSV and TSV -> rows, by the names in the header, quoted cells over several lines included."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.compressed import SUFFIXES
from lorascope.prepare.read.faults import unreadable
from lorascope.prepare.read.header import has_header, names_of
from lorascope.prepare.read.rows import BadRow, Content, Row, SourceRow, excerpt_of, in_contents
from lorascope.prepare.read.stream import Stream

_TAB = "\t"
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_HEADER = 1 << 20
_EXCEL = re.compile(r"sep=(.)\r?\n?")
_ROWS_TO_LOOK_AT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimited:
    """A table written as text.

    Attributes:
        stream: The file.
        usual: What its name promises between columns: a comma or a tab.
        delimiter: What stands there.
        names: Its columns.
        has_header: Whether its first row holds the names.
    """

    stream: Stream
    usual: str
    delimiter: str
    names: tuple[str, ...]
    has_header: bool

    @property
    def described(self) -> str:
        """As in "CSV, gzip"."""
        return f"{'TSV' if self.usual == _TAB else 'CSV'}{self.stream.described}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What separates its columns and what they are called, where that is not as usual."""
        name, said = self.stream.path.name, list(self.stream.notes)
        if self.delimiter != self.usual:
            by = _DELIMITERS.get(self.delimiter, f'"{self.delimiter}"')
            said.append(f"the columns of {name} are separated by {by}, and read so")
        if not self.has_header and self.names:
            said.append(
                f"{name} has no header: its first row is data, and its columns are called "
                f"{', '.join(self.names[:2])}{', ...' if len(self.names) > 2 else ''}"
            )
        return tuple(said)

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Read the table; it is parsed here, because only that tells which line ends are inside of cells."""
        return in_contents(self._sized_rows(), num_bytes)

    def _sized_rows(self) -> Iterator[tuple[int, Row]]:
        records = _records(self.stream, self.delimiter)
        header = next(records, (0, []))[1] if self.has_header else None
        for line, cells in records:
            size = sum(map(len, cells))
            if len(cells) != len(self.names):
                reason = "wrong_number_of_columns"
            elif cells == header:
                reason = "repeated_header"  # of a file that was put together from several
            else:
                yield size, SourceRow(line, dict(zip(self.names, cells, strict=True)))
                continue
            yield size, BadRow(line, reason, excerpt_of(self.delimiter.join(cells)))


def delimited(stream: Stream, usual: str, *, header: bool | None = None) -> Delimited:
    """Find out how a table is written.

    Args:
        stream: The file.
        usual: What its name promises between columns.
        header: Whether its first row holds the names; None to tell by what it looks like.

    Raises:
        DataError: A column's name stands twice, or one of the first rows is broken.
    """
    delimiter = _delimiter(stream, usual)
    looked_at = [cells for _, cells in islice(_records(stream, delimiter), _ROWS_TO_LOOK_AT)]
    first = looked_at[0] if looked_at else []
    is_named = has_header(first, [one for one in looked_at if one != first]) if header is None else header
    names = (
        names_of(stream.path, first) if is_named else tuple(f"column_{n}" for n in range(1, len(first) + 1))
    )
    return Delimited(stream=stream, usual=usual, delimiter=delimiter, names=names, has_header=is_named)


def usual_delimiter(path: Path) -> str | None:
    """What separates columns by a file's name: a tab in .tsv, a comma in .csv; None for another kind."""
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in SUFFIXES]
    return {".tsv": _TAB, ".tab": _TAB, ".csv": ","}.get(suffixes[-1].lower() if suffixes else "")


def _delimiter(stream: Stream, usual: str) -> str:
    with stream.open_text() as text:
        line = text.readline(_LONGEST_HEADER)
    told = _EXCEL.fullmatch(line)
    if told:
        return told[1]
    num_columns = {one: _num_cells(line, one) for one in (usual, *_DELIMITERS)}
    return usual if num_columns[usual] > 1 else max(num_columns, key=lambda one: num_columns[one])


def _num_cells(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:  # a header longer than a cell may be
        return 1


def _records(stream: Stream, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line it begins on; the line for Excel is none."""
    csv.field_size_limit(limits.MAX_ROW_BYTES)
    with stream.open_text() as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        before = 0
        try:
            for cells in reader:
                line, before = before + 1, reader.line_num
                if cells and not (line == 1 and _EXCEL.fullmatch(delimiter.join(cells))):
                    yield line, cells
        except csv.Error as error:
            problem = f"{error}, in the row that starts at line {before + 1}"
            why = "a quote stands inside a cell without being doubled, or is opened and never closed"
            fix = "mend that row, or save the file again as quoted CSV"
            raise unreadable(stream.path, problem, why, fix) from error
