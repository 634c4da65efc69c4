"""A JSON file -> how its rows lie in it: line by line, one after another, or in lists of one object."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lorascope.errors import DataError, explain, nearest
from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.encoding import is_other_throughout
from lorascope.prepare.read.faults import unreadable
from lorascope.prepare.read.json_lines import JsonLines
from lorascope.prepare.read.json_object import (
    JsonObject,
    Member,
    is_by_column,
    is_record,
    lists_of_rows,
    members_of,
)
from lorascope.prepare.read.json_values import JsonValues
from lorascope.prepare.read.part import Part
from lorascope.prepare.read.rows import excerpt_of
from lorascope.prepare.read.splits import canonical_split
from lorascope.prepare.read.stream import Stream
from lorascope.prepare.read.strict_json import parses

_LINE = 1 << 20
_HEAD = 64 << 10
_LINES_TO_TRY = 20


def json_parts(stream: Stream, key: str | None = None) -> list[Part]:
    """Find out how a JSON file is read. Its content decides, not its name.

    Args:
        stream: The file.
        key: Where it is one object, the list in it that holds the rows; None to find it.

    Raises:
        DataError: It holds no JSON, no such list, or several lists that are no splits.
    """
    first, second = [*(text for _, text in islice(_lines(stream), 2)), "", ""][:2]
    is_by_line = _is_json_lines(first, second)
    notes: tuple[str, ...] = ()
    if first.startswith("{") and (key is not None or not is_by_line):
        members = members_of(stream) or []
        parts = _object_parts(stream, members, key)
        if parts:
            return parts
        notes = _hint(stream, members)
    if key is not None:
        raise no_such_key(stream.path, key, ())
    if not is_by_line:
        return [Part(JsonValues(stream), notes=notes)]
    _refuse_plain_text(stream)
    if is_other_throughout(stream.head(_HEAD).splitlines()):
        raise stream.not_utf8()
    return [Part(JsonLines(stream), notes=notes)]


def no_such_key(path: Path, key: str, keys: Sequence[str]) -> DataError:
    """Explain that a file has no list of that name."""
    return DataError(
        explain(
            f'"{path.name}" has no list "{key}"',
            where=str(path),
            why="a key names a list of rows in a file that is one JSON object"
            if keys
            else "only a JSON file that is one object has lists under keys, and this is none",
            fix=nearest(key, keys) if keys else "leave the key out",
        )
    )


def _object_parts(stream: Stream, members: Sequence[Member], key: str | None) -> list[Part]:
    path = stream.path
    twins = [name for name, count in Counter(one.key for one in members).items() if count > 1]
    if twins:
        why = "one of two values under the same key would be lost"
        raise unreadable(path, f'its key "{twins[0]}" stands twice', why, "rename one of them")
    if key is not None:
        lists = [one.key for one in members if one.is_list]
        if members and key not in lists:
            raise no_such_key(path, key, lists)
        return [Part(JsonObject(stream, key))] if members else []
    names = lists_of_rows(members)
    if len(names) <= 1:
        if not names and is_by_column(members):
            why = "rows are read one by one, and nothing says that its columns belong together"
            fix = f'in pandas: read_json("{path.name}").to_json("rows.jsonl", orient="records", lines=True)'
            raise unreadable(path, "it is a table written column by column", why, fix)
        return [Part(JsonObject(stream, name)) for name in names]
    splits = {name: canonical_split(name) for name in names}
    if None in splits.values() or len(set(splits.values())) < len(splits):
        why = "any of them may hold the rows, and they are no train, validation and test"
        shown = ", ".join(f'"{name}"' for name in names)
        raise unreadable(
            path, f"it holds {len(names)} lists: {shown}", why, f"name one of them as key: {shown}"
        )
    return [Part(JsonObject(stream, name), split=splits[name], key=name) for name in names]


def _hint(stream: Stream, members: Sequence[Member]) -> tuple[str, ...]:
    lists = [
        f'"{one.key}"'
        for one in members
        if one.is_list and one.num > 1 and isinstance(one.first, dict) and is_record(one.first)
    ]
    if not lists:
        return ()
    return (
        f"{stream.path.name} is one object, read as one row; if a list in it holds the rows, name its key: "
        f"{', '.join(lists)}",
    )


def _is_json_lines(first: str, second: str) -> bool:
    """Whether every line is a value by itself, by the first two lines that are not blank."""
    if "\r" in first:
        return False  # no line feed ends these lines, as in files of old Macs
    if first.startswith("["):
        return second.startswith("[") and parses(first)  # else the array of a JSON file
    if not first.startswith("{"):
        return True
    if not second:
        return False  # one object, or several on one line
    if parses(first.rstrip(", \t")):
        return True
    if first.endswith("}") and second.startswith("{"):
        return True  # broken, and the lines after it are values by themselves
    return second.startswith("{") and parses(second)  # else an object over several lines


def _lines(stream: Stream) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number and as far as a row may go."""
    number = 1
    with stream.open() as file:
        while raw := file.readline(_LINE):
            if not raw.endswith(b"\n") and not raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                raw += file.readline(limits.MAX_ROW_BYTES)
            text = raw.decode("utf-8", errors="replace").strip().removeprefix("\ufeff").strip()
            if text:
                yield number, text
            number += raw.endswith(b"\n")


def _refuse_plain_text(stream: Stream) -> None:
    lines = list(islice(_lines(stream), _LINES_TO_TRY))
    if not lines or any(text.startswith(("{", "[")) or parses(text) for _, text in lines):
        return
    number, text = lines[0]
    raise DataError(
        explain(
            f'"{stream.path.name}" holds no JSON',
            where=f"{stream.path}, line {number}: {excerpt_of(text)}",
            why=f"the first {len(lines)} rows are: not_json",
            fix='write rows as {"instruction": ..., "output": ...}; if it is a table, name it .csv or .tsv',
        )
    )
