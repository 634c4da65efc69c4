"""A data file -> its rows, each with its line; what cannot be read is a named bad row, never lost.

Rows of JSON files are found by an own reader, because line numbers must be right and one broken row must not
hide the rest of the file.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lorascope.errors import DataError, explain, nearest

_SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A record as found.

    Attributes:
        line: 1-based line it starts on; the 1-based row of a Parquet file.
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
        row: 1-based count of rows in the file, bad ones included; 0 until `gather` has counted.
    """

    line: int
    reason: str
    excerpt: str
    row: int = 0


def unusual_delimiter(path: Path) -> str | None:
    """Name what separates the columns of a CSV or TSV file where it is not what its name promises."""
    if _SUFFIXES.get(path.suffix.lower()) not in ("csv", "tsv"):
        return None
    found = delimiter_of(path)
    return None if found == usual_delimiter(path) else _DELIMITERS[found]


def excerpt_of(value: Any) -> str:
    """The first 80 characters of a value, control characters escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:80])


def read_rows(path: Path) -> Iterator[SourceRow | BadRow]:
    """Read the rows of one file.

    Args:
        path: A .json, .jsonl, .csv, .tsv or .parquet file.

    Yields:
        Rows and bad rows in file order.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, or unreadable as a whole.
    """
    kind = _kind(path)
    if kind == "parquet":
        return _parquet_rows(path)
    if kind in ("csv", "tsv"):
        return _csv_rows(path, delimiter_of(path))
    return _jsonl_rows(path) if _is_json_lines(path) else _json_rows(path)


def _kind(path: Path) -> str:
    if not _exists(path):
        folder = path.parent
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        raise DataError(
            explain(
                f'data file "{path}" does not exist',
                where=str(path),
                why="there is no such file"
                if folder.is_dir()
                else f'the folder "{folder}" does not exist either',
                fix=nearest(path.name, names) if folder.is_dir() else "check the path",
            )
        )
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None or not path.is_file():
        raise DataError(
            explain(
                f'"{path.name}" is a folder'
                if path.is_dir()
                else f'files of kind "{path.suffix}" are not read',
                where=str(path),
                why="rows are read from one JSON, JSON Lines, CSV, TSV or Parquet file",
                fix=f"name one file ending in {', '.join(_SUFFIXES)}",
            )
        )
    try:
        if path.stat().st_size == 0:
            raise _unreadable(path, "it is empty", "there is nothing to learn from an empty file")
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise _unreadable(
            path, error.strerror or str(error), "the operating system refuses to open it"
        ) from error
    if head.startswith(b"version https://git-lfs"):
        raise _unreadable(
            path, "it is a git-lfs pointer, not the data", "git stores the rows elsewhere", "git lfs pull"
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(
            path, "it is UTF-16 text", "rows are read as UTF-8", "convert it: iconv -f UTF-16 -t UTF-8"
        )
    return kind


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, as when somebody gives rows where a file name belongs
        return False


def _unreadable(path: Path, problem: str, why: str, fix: str = "give a file with rows") -> DataError:
    return DataError(explain(f'"{path.name}" cannot be read: {problem}', where=str(path), why=why, fix=fix))


def _is_json_lines(path: Path) -> bool:
    """Whether every line is a value by itself: the first two lines decide, not the file's name."""
    with path.open("rb") as file:
        lines = (line.decode("utf-8-sig", errors="replace").strip() for line in file)
        first, second = [*islice((line for line in lines if line), 2), "", ""][:2]
    if first.startswith("["):
        return second.startswith("[") and _parses(first)  # else the array of a JSON file
    if first.startswith("{") and not first.endswith("}"):
        return second.startswith("{") and _parses(second)  # else an object over several lines
    return True


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Refused(ValueError):
    """A value that is JSON in form only: NaN, or a key that stands twice."""


def _refuse_constant(name: str) -> Any:
    raise _Refused("nan_or_infinity")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _Refused("duplicate_key")
    return mapping


_LENIENT = json.JSONDecoder()
_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_twins, parse_constant=_refuse_constant)


def _jsonl_rows(path: Path) -> Iterator[SourceRow | BadRow]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            yield from _one_line(number, raw)


def _one_line(number: int, raw: bytes) -> Iterator[SourceRow | BadRow]:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError:
        yield BadRow(number, "bad_utf8", excerpt_of(raw.decode("utf-8", errors="replace")))
        return
    if not text:
        return
    try:
        value, end = _DECODER.raw_decode(text)
    except _Refused as error:
        yield BadRow(number, str(error), excerpt_of(text))
    except (ValueError, RecursionError):
        yield BadRow(number, "not_json", excerpt_of(text))
    else:
        if text[end:].strip():
            yield BadRow(number, "two_values_on_a_line", excerpt_of(text))
        else:
            yield SourceRow(number, value)


def _json_rows(path: Path) -> Iterator[SourceRow | BadRow]:
    """Walk a JSON array, or values that follow one another, keeping the line of each."""
    text = _decoded(path)
    position, line, counted = 0, 1, 0
    in_array, opening = False, ""
    while True:
        while position < len(text) and (text[position].isspace() or (in_array and text[position] == ",")):
            position += 1
        line += text.count("\n", counted, position)
        counted = position
        if position >= len(text):
            if in_array:
                yield BadRow(line, "cut_short", excerpt_of(text[-80:]))
            return
        if not in_array and text[position] == "[":
            in_array, position = True, position + 1
            continue
        if in_array and text[position] == "]":
            in_array, position = False, position + 1
            continue
        if match := _OPENING.match(text, position):
            opening = match[1]
        start = position
        try:
            value, position = _DECODER.raw_decode(text, start)
            yield SourceRow(line, value)
        except _Refused as error:
            yield BadRow(line, str(error), excerpt_of(text[start : start + 80]))
            position = _LENIENT.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            position = _next_row(text, start + 1, opening)
            cut = in_array and position == len(text) and not text.rstrip().endswith("]")
            yield BadRow(line, "cut_short" if cut else "not_json", excerpt_of(text[start : start + 80]))
            in_array = in_array and position < len(text)


_OPENING = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:')


def _next_row(text: str, start: int, opening: str) -> int:
    """Where to go on after a broken row: the next object with the rows' first key, else the end."""
    pattern = r"\{\s*" + re.escape(opening) + r"\s*:" if opening else r"\{"
    match = re.compile(pattern).search(text, start)
    return match.start() if match else len(text)


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"byte {error.start} (line {line}) is not UTF-8"
        raise _unreadable(
            path, problem, "rows are read as UTF-8 text", "convert it: iconv -t UTF-8"
        ) from error


def delimiter_of(path: Path) -> str:
    """Say what separates the columns of a CSV or TSV file.

    The file's kind decides, a comma or a tab, unless its header is a single column under it; then the one of
    comma, semicolon, tab and bar that makes most columns of the header.
    """
    usual = usual_delimiter(path)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = file.readline()
    num_columns = {one: _num_cells(header, one) for one in (usual, *_DELIMITERS)}
    return usual if num_columns[usual] > 1 else max(num_columns, key=lambda one: num_columns[one])


def usual_delimiter(path: Path) -> str:
    """What separates columns by the file's kind: a tab in .tsv, a comma in .csv."""
    return "\t" if _SUFFIXES[path.suffix.lower()] == "tsv" else ","


def _num_cells(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:  # a header longer than a cell may be
        return 1


def _csv_rows(path: Path, delimiter: str) -> Iterator[SourceRow | BadRow]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(_decoded(path), newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        header = [name.strip() for name in next(reader, [])]
        twins = [name for name, count in Counter(header).items() if count > 1]
        if twins:
            why = "one of two columns of the same name would be lost"
            raise _unreadable(
                path, f'column "{twins[0]}" stands twice in its header', why, "rename one of them"
            )
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                yield BadRow(line, "wrong_number_of_columns", excerpt_of(delimiter.join(cells)))
            else:
                yield SourceRow(line, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        problem = f"{error}, in the row that starts at line {before + 1}"
        why = "a quote stands inside a cell without being doubled, or is opened and never closed"
        raise _unreadable(
            path, problem, why, "mend that row, or save the file again as quoted CSV"
        ) from error


def _parquet_rows(path: Path) -> Iterator[SourceRow | BadRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        row = 0
        for batch in file.iter_batches(batch_size=1000):
            for value in batch.to_pylist():
                row += 1
                yield SourceRow(row, value)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, str(error).splitlines()[0][:100], "it is no whole Parquet file") from error
