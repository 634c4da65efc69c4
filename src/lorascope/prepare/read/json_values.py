"""A JSON array, or values that follow one another -> rows, walked piece by piece.

Where a row is broken, the walk goes on at the next one: the next object that begins with a key of the rows.
So a broken row costs itself and no other.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lorascope.prepare.read.rows import BadRow, Content, Row, SourceRow, excerpt_of, in_contents
from lorascope.prepare.read.stream import Stream
from lorascope.prepare.read.strict_json import LENIENT, Refused
from lorascope.prepare.read.window import TooLarge, Window

BLANK = re.compile(r"[\s\ufeff]*")
BLANK_OR_COMMA = re.compile(r"[\s,\ufeff]*")
_STRING = r'"(?:[^"\\]|\\.)*"'
_FIRST_KEY = re.compile(r"\{\s*(" + _STRING + r")\s*:")
_NEXT_LIST = re.compile(r"\]\s*,\s*\[")
_UP_TO_LIST = re.compile(r"\]\s*,\s*(?=\[)")
_NEXT_SCALAR = re.compile(r"[,\]\n]")
_NEXT_OBJECT = re.compile(r"\s*,?\s*(?=\{)")
_END = re.compile(r"[\s,]*\]?\s*\Z")
_INSIDE = re.compile(r"\s*(?:[\]}]|,\s*\")")  # what follows an object that lies in another
_ROW_ABOVE = re.compile(r"[\r\n]([ \t]*)\}[\s,]*\Z")  # its last brace, at the beginning of a line
_MOST_KEYS = 40
_LOOK_AHEAD = 1 << 16
_LONGEST_KEY = 300


@dataclass(frozen=True, slots=True)
class JsonValues:
    """A file that is one array, or holds values over several lines."""

    stream: Stream

    @property
    def described(self) -> str:
        """As in "JSON, GB18030"."""
        return f"JSON{self.stream.described}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Its encoding, where it is not UTF-8."""
        return self.stream.notes

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Walk the values; they are parsed here, because nothing else finds their ends."""
        with self.stream.open_text() as text:
            window = Window(text.read)
            yield from in_contents(sized(window, rows_of_values(window)), num_bytes)


def sized(window: Window, rows: Iterator[Row]) -> Iterator[tuple[int, Row]]:
    """Put beside each row how many characters were passed to read it."""
    before = window.num_passed
    for row in rows:
        yield window.num_passed - before, row
        before = window.num_passed


def rows_of_values(window: Window) -> Iterator[Row]:
    """Walk values that follow one another; of an array, its elements are the rows."""
    walk = Walk(window)
    while char := window.skip(BLANK):
        if char == "[":
            yield from walk.array()
        else:
            yield walk.row()


class Walk:
    """Where a walk is, and what it knows of the rows: by that it finds the next after a broken one."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._keys: dict[str, None] = {}  # of the good rows, in the order they were met
        self._num_lines = 1  # that a good row takes at most

    def array(self) -> Iterator[Row]:
        """Walk the array that begins here, and move behind it."""
        window = self._window
        window.go_to(window.position + 1)
        while char := window.skip(BLANK_OR_COMMA):
            if char == "]":
                window.go_to(window.position + 1)
                return
            row = self.row()
            if isinstance(row, BadRow) and not window.skip(BLANK_OR_COMMA):
                is_cut = not window.text.rstrip().endswith("]")
                yield (
                    BadRow(row.line, "cut_short", row.excerpt) if is_cut and row.reason == "not_json" else row
                )
                return
            yield row
        yield BadRow(window.line, "cut_short", excerpt_of(window.text[-80:]))

    def row(self) -> Row:
        """Read the row that begins here, and move to where the next one may begin."""
        window = self._window
        line, start = window.line, window.ahead(80)
        try:
            value = window.decode()
        except Refused as error:
            return BadRow(line, str(error), excerpt_of(start))
        except UnicodeDecodeError:
            raise  # the text itself ends here, not only the row
        except (ValueError, RecursionError) as error:
            self._go_to_next_row()
            reason = "row_too_large" if isinstance(error, TooLarge) else "not_json"
            return BadRow(line, reason, excerpt_of(start))
        if window.line - line >= self._num_lines:
            self._num_lines = window.line - line + 1
        if isinstance(value, dict) and not value.keys() <= self._keys.keys() and len(self._keys) < _MOST_KEYS:
            self._keys.update(dict.fromkeys(value))
        return SourceRow(line, value)

    def _go_to_next_row(self) -> None:
        window = self._window
        char = window.ahead(1)
        if char == "[":
            window.find(_NEXT_LIST, window.position + 1)
            window.skip(_UP_TO_LIST)
        elif char == "{" or self._keys:
            self._find_object()
        else:
            window.find(_NEXT_SCALAR, window.position + 1)

    def _find_object(self) -> None:
        """Go to the next object that is a row, and not one that lies in the broken row."""
        window, indentation = self._window, self._window.indentation()
        keyed = self._opening()
        places = [keyed.pattern, r"(?<=,)\s*\{"]
        if indentation is not None:
            places.append(rf"(?<=[\r\n]){indentation}\{{")
        candidate = re.compile("|".join(places))
        # Where rows are a line each, or indented as a whole, nothing inside of a row begins where rows begin.
        above = _ROW_ABOVE.search(window.behind())
        is_certain = indentation is not None and (
            self._num_lines == 1 or (above is not None and "" != above[1] == indentation)
        )
        while window.find(candidate, window.position + 1):
            window.skip(BLANK)
            if is_certain and window.indentation() == indentation:
                return
            if self._is_a_row(is_keyed=keyed.match(window.ahead(_LONGEST_KEY)) is not None):
                return

    def _opening(self) -> re.Pattern[str]:
        """How a row begins: with a key of the rows met so far, else with that of the broken row."""
        names = {json.dumps(key, ensure_ascii=ascii) for key in self._keys for ascii in (True, False)}
        first = _FIRST_KEY.match(self._window.ahead(_LONGEST_KEY))
        if first:
            names.add(first[1])
        return re.compile(
            r"\{\s*(?:" + "|".join(map(re.escape, sorted(names))) + r")\s*:" if names else r"\{"
        )

    def _is_a_row(self, *, is_keyed: bool) -> bool:
        try:
            value = self._window.peek()
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError):
            return is_keyed  # broken itself: then it is to be named
        if self._is_like_a_row(value):
            return True
        leads = self._leads_to_a_row()
        return leads is True or (leads is None and is_keyed and not self._keys)

    def _is_like_a_row(self, value: dict[str, Any]) -> bool:
        shared = [key for key in value if key in self._keys]
        return bool(shared) and (len(shared) == len(value) or len(shared) >= 2)

    def _leads_to_a_row(self) -> bool | None:
        """Whether the objects that follow come to a row or to the end, so all are rows; None: who knows."""
        text, position = self._window.ahead(_LOOK_AHEAD), 0
        while True:
            try:
                value, end = LENIENT.raw_decode(text, position)
            except (ValueError, RecursionError):
                return None
            if self._is_like_a_row(value):
                return True
            following = _NEXT_OBJECT.match(text, end)
            if following is None:
                break
            position = following.end()
        if self._window.is_last and _END.match(text, end):
            return True
        return False if _INSIDE.match(text, end) else None
