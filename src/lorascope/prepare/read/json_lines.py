"""JSON Lines -> rows: one value per line, a broken line is one bad row and hides no other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.compressed import explaining_damage
from lorascope.prepare.read.faults import unreadable
from lorascope.prepare.read.rows import BadRow, Content, Row, SourceRow, Values, excerpt_of
from lorascope.prepare.read.stream import Stream
from lorascope.prepare.read.strict_json import STRICT, Refused


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A file with a value on each line."""

    stream: Stream

    @property
    def described(self) -> str:
        """As in "JSON Lines, gzip"."""
        return f"JSON Lines{self.stream.described}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Its encoding, where it is not UTF-8."""
        return self.stream.notes

    def contents(self, num_bytes: int) -> Iterator[Content]:
        """Cut the file at line ends; where it is plain text, a content is a place in it and holds no text."""
        is_plain = self.stream.is_plain
        with self.stream.open() as file:
            for piece in _cut_at_line_ends(file, num_bytes):
                if piece.is_too_long:
                    reason = "row_too_large"
                    yield Values((BadRow(piece.line, reason, excerpt_of(_shown(piece.data))),))
                elif is_plain:
                    yield LineRange(self.stream.path, piece.offset, len(piece.data), piece.line)
                else:
                    yield Lines(piece.data, piece.line)


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines.

    Attributes:
        data: Their bytes, line ends included.
        line: 1-based number of the first.
    """

    data: bytes
    line: int

    def rows(self) -> Iterator[Row]:
        """Parse the lines."""
        for number, line in enumerate(_split(self.data), start=self.line):
            row = _row_of(number, line)
            if row is not None:
                yield row


@dataclass(frozen=True, slots=True)
class LineRange:
    """Whole lines by their place in a file.

    Attributes:
        path: The file, neither compressed nor in another encoding than UTF-8.
        offset: Of the first byte.
        num_bytes: How many.
        line: 1-based number of the first line.
    """

    path: Path
    offset: int
    num_bytes: int
    line: int

    def rows(self) -> Iterator[Row]:
        """Read and parse the lines."""
        with explaining_damage(self.path, None), self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.num_bytes)
        if len(data) < self.num_bytes:
            why = "its rows would be counted wrongly"
            raise unreadable(self.path, "it became shorter while it was read", why, "run it again")
        return Lines(data, self.line).rows()


@dataclass(frozen=True, slots=True)
class _Piece:
    offset: int
    line: int
    data: bytes
    is_too_long: bool = False


def _cut_at_line_ends(file: BinaryIO, num_bytes: int) -> Iterator[_Piece]:
    offset, line, most = 0, 1, limits.MAX_ROW_BYTES
    while data := file.read(min(num_bytes, most)):
        begun = len(data) - data.rfind(b"\n") - 1
        rest = file.readline(most - begun) if begun else b""
        is_too_long = begun + len(rest) >= most and not rest.endswith(b"\n")
        whole = data[: len(data) - begun] if is_too_long else data + rest
        if whole:
            yield _Piece(offset, line, whole)
        line += whole.count(b"\n")
        if is_too_long:
            yield _Piece(offset + len(whole), line, (data[len(whole) :] + rest)[:1000], is_too_long=True)
            line += 1
            while more := file.readline(num_bytes):
                offset += len(more)
                if more.endswith(b"\n"):
                    break
        offset += len(data) + len(rest)


def _split(data: bytes) -> Sequence[str | bytes]:
    try:
        return data.decode().split("\n")
    except UnicodeDecodeError:  # then each line by itself: the others are good
        return data.split(b"\n")


def _row_of(number: int, line: str | bytes) -> Row | None:
    """One line as a row; None where it is blank."""
    try:
        text = (line.decode() if isinstance(line, bytes) else line).strip()
    except UnicodeDecodeError as error:
        return BadRow(number, "bad_utf8", excerpt_of(_shown(error.object)))
    if text.startswith("\ufeff"):  # at the start of the file, or of one of the files it was put together from
        text = text[1:].lstrip()
    if not text:
        return None
    try:
        value, end = STRICT.raw_decode(text)
    except Refused as error:
        return BadRow(number, str(error), excerpt_of(text))
    except (ValueError, RecursionError):
        return BadRow(number, "not_json", excerpt_of(text))
    rest = text[end:].strip()
    if rest:
        return BadRow(number, "trailing_comma" if rest == "," else "two_values_on_a_line", excerpt_of(text))
    return SourceRow(number, value)


def _shown(data: bytes) -> str:
    return data[:1000].decode("utf-8", errors="replace")
