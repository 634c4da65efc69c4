"""A file that is one JSON object -> the lists in it that hold the rows, as in {"version": 1, "data": [...]}.

One object can also be one row, as in {"conversations": [...]}. Lists are taken for rows where their name says
so ("data", "train"), or where the object holds nothing but lists of records; a list of turns never is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.prepare.read.json_values import BLANK, BLANK_OR_COMMA, Walk, sized
from lorascope.prepare.read.rows import Content, Row, SourceRow, in_contents
from lorascope.prepare.read.splits import canonical_split
from lorascope.prepare.read.stream import Stream
from lorascope.prepare.read.window import Window

_NAMES_OF_ROWS = {
    *(
        "data",
        "rows",
        "examples",
        "samples",
        "records",
        "entries",
        "items",
        "instances",
        "dataset",
        "results",
    ),
    *("questions", "intents", "pairs", "dialogs", "dialogues"),
}
_SPEAKERS = {"role", "from", "speaker", "author"}


@dataclass(frozen=True, slots=True)
class Member:
    """A key of the object.

    Attributes:
        key: Its name.
        is_list: Whether a list stands under it.
        first: The list's first element where it is good, else None; the value where it is no list.
        num: Elements of the list, bad ones included.
    """

    key: str
    is_list: bool
    first: Any
    num: int = 0


@dataclass(frozen=True, slots=True)
class JsonObject:
    """One list of a file that is one object."""

    stream: Stream
    key: str

    @property
    def described(self) -> str:
        """As in 'JSON, list "data"'."""
        return f'JSON, list "{self.key}"{self.stream.described}'

    @property
    def notes(self) -> tuple[str, ...]:
        """Its encoding, where it is not UTF-8."""
        return self.stream.notes

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Walk the list's elements."""
        with self.stream.open_text() as text:
            window = Window(text.read)
            for key, value in _walk(window):
                if key == self.key and isinstance(value, Iterator):
                    yield from in_contents(sized(window, value), num_bytes)
                    return


def members_of(stream: Stream) -> list[Member] | None:
    """Read through a file that is one object.

    Returns:
        Its members, in order; None where the file is anything else, or broken outside of its lists.
    """
    found = []
    with stream.open_text() as text:
        window = Window(text.read)
        try:
            for key, value in _walk(window):
                found.append(_member(key, value))
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError):
            return None
        return None if window.skip(BLANK) else found


def lists_of_rows(members: Sequence[Member]) -> list[str]:
    """Say which members hold the rows; none where the object is a row itself."""
    lists = [one for one in members if one.is_list and (one.num == 0 or is_record(one.first))]
    named = [one.key for one in lists if one.key.lower() in _NAMES_OF_ROWS or canonical_split(one.key)]
    if named:
        return named
    return [one.key for one in lists] if len(lists) == len(members) else []


def is_by_column(members: Sequence[Member]) -> bool:
    """Whether it is a table written column by column, as pandas writes: {"output": {"0": ..., "1": ...}}."""
    return (
        bool(members)
        and all(
            isinstance(one.first, dict) and one.first and all(key.isdigit() for key in one.first)
            for one in members
            if not one.is_list
        )
        and not any(one.is_list for one in members)
    )


def is_record(first: Any) -> bool:
    """Whether an element is like a row: an object or a list, and no turn of a conversation."""
    if isinstance(first, dict):
        return not _SPEAKERS & first.keys()
    return isinstance(first, list)


def _member(key: str, value: Any) -> Member:
    if not isinstance(value, Iterator):
        return Member(key, False, value)
    first, num = None, 0
    for row in value:
        num += 1
        if num == 1 and isinstance(row, SourceRow):
            first = row.value
    return Member(key, True, first, num)


def _walk(window: Window) -> Iterator[tuple[str, Iterator[Row] | Any]]:
    """Each key with its value; of a list, with an iterator over its elements.

    Raises:
        ValueError: It is no object, or broken.
    """
    if window.skip(BLANK) != "{":
        raise ValueError("no object")
    window.go_to(window.position + 1)
    while char := window.skip(BLANK_OR_COMMA):
        if char == "}":
            window.go_to(window.position + 1)
            return
        key = window.decode()
        if not isinstance(key, str) or window.skip(BLANK) != ":":
            raise ValueError("no key")
        window.go_to(window.position + 1)
        if window.skip(BLANK) != "[":
            yield key, window.decode()
            continue
        rows = Walk(window).array()
        yield key, rows
        for _ in rows:  # whoever did not want them passes over them
            pass
