"""A text read piece by piece: what lies behind is forgotten, what lies ahead is read when it is needed."""

import re
from collections.abc import Callable
from typing import Any

from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.strict_json import LENIENT, STRICT, Refused

_PIECE = 1 << 20
_LONGEST_TOKEN = 16  # "-Infinity" and "\\ud83d\\ude00" are the longest that can look broken when they are cut
_OVERLAP = 4096
_BEHIND = 200
_CLOSED = (str, list, dict)


class TooLarge(ValueError):
    """A value does not end within the longest row there may be."""


class Window:
    """The part of a text between what was read and what is still needed.

    Attributes:
        text: What is held.
        position: Where we are in it.
        line: 1-based line of that place.
        num_passed: Characters left behind since the start.
        is_last: Whether `text` reaches to the end of the whole text.
    """

    def __init__(self, read: Callable[[int], str], piece: int = _PIECE) -> None:
        self._read = read
        self._piece = piece
        self.text = read(piece)
        self.position = 0
        self.line = 1
        self.num_passed = 0
        self.is_last = not self.text
        # Files of old Macs end their lines with a carriage return alone.
        self._line_end = "\r" if "\r" in self.text and "\n" not in self.text else "\n"

    def grow(self) -> bool:
        """Read on, so that at least twice as much lies ahead; False at the end of the text."""
        piece = "" if self.is_last else self._read(max(self._piece, len(self.text) - self.position))
        if not piece:
            self.is_last = True
            return False
        kept = max(0, self.position - _BEHIND)
        self.text = self.text[kept:] + piece
        self.position -= kept
        return True

    def go_to(self, position: int) -> None:
        """Move ahead within what is held."""
        self.line += self.text.count(self._line_end, self.position, position)
        self.num_passed += position - self.position
        self.position = position

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Pass over whatever matches a pattern; return the character behind it, "" at the end."""
        while True:
            match = pattern.match(self.text, self.position)
            if match:
                self.go_to(match.end())
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.grow():
                return ""

    def find(self, pattern: re.Pattern[str], start: int) -> bool:
        """Go to the next match of a short pattern at or behind `start`; to the end where there is none."""
        while True:
            match = pattern.search(self.text, start)
            if match:
                self.go_to(match.start())
                return True
            # The end may hold the beginning of a match.
            self.go_to(max(self.position, start, len(self.text) - _OVERLAP))
            if not self.grow():
                self.go_to(len(self.text))
                return False
            start = self.position

    def decode(self) -> Any:
        """Read the value that begins here, and move behind it.

        Raises:
            Refused: It is JSON in form only; we are behind it.
            TooLarge: It has no end within the longest row; we have not moved.
            ValueError: It is broken; we have not moved.
            RecursionError: It is nested too deep; we have not moved.
        """
        try:
            value, end = self._decode(STRICT)
        except Refused:
            self.go_to(self._decode(LENIENT)[1])
            raise
        self.go_to(end)
        return value

    def peek(self) -> Any:
        """Read the value that begins here, and stay.

        Raises:
            ValueError: It is broken, or too large.
            RecursionError: It is nested too deep.
        """
        return self._decode(LENIENT)[0]

    def behind(self) -> str:
        """A few of the characters before this place."""
        return self.text[max(0, self.position - _BEHIND) : self.position]

    def indentation(self) -> str | None:
        """The blanks before this place where nothing else stands before it on its line, else None."""
        _, end, blanks = self.behind().rpartition(self._line_end)
        return blanks if end and not blanks.strip(" \t") else None

    def ahead(self, num: int) -> str:
        """The next characters, fewer at the end of the text."""
        while len(self.text) - self.position < num and self.grow():
            pass
        return self.text[self.position : self.position + num]

    def _decode(self, decoder: Any) -> tuple[Any, int]:
        while True:
            try:
                value, end = decoder.raw_decode(self.text, self.position)
            except Refused:
                raise
            except ValueError as error:
                if not self._may_be_cut(error):
                    raise
            else:
                if end < len(self.text) - 3 or self.is_last or isinstance(value, _CLOSED):
                    return value, end  # else a number may go on: 1 and then "2", ".5" or "e+3"
            if len(self.text) - self.position > limits.MAX_ROW_BYTES:
                raise TooLarge
            self.grow()  # at the end of the text, the next attempt is the last

    def _may_be_cut(self, error: ValueError) -> bool:
        if self.is_last:
            return False
        at = getattr(error, "pos", 0)  # of a number with too many digits nobody says where it stands
        return str(error).startswith("Unterminated string") or at >= len(self.text) - _LONGEST_TOKEN
