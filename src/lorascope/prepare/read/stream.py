"""A text file, compressed or not and in whatever encoding, opened as UTF-8 bytes or as text."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from lorascope.errors import DataError
from lorascope.prepare.read.compressed import compression_of, explaining_damage, open_bytes
from lorascope.prepare.read.encoding import Utf8, encoding_of, not_utf8, shown


@dataclass(frozen=True, slots=True)
class Stream:
    """How the bytes of a file become UTF-8 text."""

    path: Path
    compression: str | None = None
    encoding: str = "utf-8"

    @property
    def is_plain(self) -> bool:
        """Whether the file's own bytes are the text, so that a part of it can be read from where it lies."""
        return self.compression is None and self.encoding == "utf-8"

    @property
    def described(self) -> str:
        """What stands between the file's bytes and its text: "" or ", gzip, GB18030"."""
        return "".join(
            f", {layer}"
            for layer in (self.compression, None if self.encoding == "utf-8" else shown(self.encoding))
            if layer
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """That it is not UTF-8, where it is not."""
        if self.encoding == "utf-8":
            return ()
        return (f"{self.path.name} is {shown(self.encoding)} text, and read so",)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it as UTF-8 bytes. A byte order mark is left in.

        Raises:
            DataError: The file cannot be opened, or is damaged; also from the body of the `with`.
        """
        with explaining_damage(self.path, self.compression), open_bytes(self.path, self.compression) as file:
            if self.encoding == "utf-8":
                yield file
            else:
                yield cast(BinaryIO, io.BufferedReader(Utf8(file, self.encoding), 1 << 20))

    @contextmanager
    def open_text(self) -> Iterator[io.TextIOWrapper]:
        """Open it as text: its line ends as they are, its byte order mark gone.

        Raises:
            DataError: As `open`; also where bytes are not UTF-8.
        """
        with self.open() as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            try:
                yield text
            except UnicodeDecodeError as error:
                raise self.not_utf8() from error

    def not_utf8(self) -> DataError:
        """Explain where it stops being UTF-8."""
        return not_utf8(self.path, lambda: open_bytes(self.path, self.compression))

    def head(self, num_bytes: int) -> bytes:
        """The first bytes of the text, as UTF-8."""
        with self.open() as file:
            return file.read(num_bytes)


def text_stream(path: Path) -> Stream:
    """Find out how a text file is to be opened.

    Raises:
        DataError: It cannot be opened, is damaged, or changes its encoding on the way.
    """
    with explaining_damage(path, None):
        compression = compression_of(path)
    with explaining_damage(path, compression):
        return Stream(path, compression, encoding_of(path, lambda: open_bytes(path, compression)))
