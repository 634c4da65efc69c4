"""Data that is understood: its files, its splits, and its rows chunk by chunk."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import DataError, explain, nearest
from lorascope.prepare.read.rows import CHUNK_BYTES, Content, Reader, Row
from lorascope.run.commit import sha256_of


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring rows of one file. It is small, pickles, and reads its rows wherever it was sent.

    Attributes:
        file: Its file, relative to the source; of a file with several lists "file.json:key".
        split: The split it belongs to.
        content: The rows, or where to find them.
    """

    file: str
    split: str
    content: Content

    def rows(self) -> Iterator[Row]:
        """Read the rows, in file order.

        Raises:
            DataError: The file has changed or vanished since.
        """
        return self.content.rows()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source, or a list in it.

    Attributes:
        file: As in Chunk.
        split: As in Chunk.
        path: Where it lies.
        reader: How it is read.
    """

    file: str
    split: str
    path: Path
    reader: Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Data that is understood well enough to be read.

    Attributes:
        name: The last part of its path, or its name on the Hub.
        parts: What is read, in order.
        notes: What the user should know about how it is read.
    """

    name: str
    parts: tuple[SourceFile, ...]
    notes: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """What it is, as in "JSON Lines, gzip" or "3 files: 2 JSON Lines, 1 CSV"."""
        kinds = Counter(part.reader.described for part in self.parts)
        if len(self.files) == 1:
            return "; ".join(kinds)
        return f"{len(self.parts)} files: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold its rows, each once."""
        return tuple(dict.fromkeys(part.path for part in self.parts))

    @property
    def splits(self) -> tuple[str, ...]:
        """Its splits in the order in which they are read; one, "train", where nothing names any."""
        return tuple(dict.fromkeys(part.split for part in self.parts))

    def chunks(self, split: str | None = None, *, num_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
        """Cut the source into chunks.

        Args:
            split: One of its splits; None for all, one after another.
            num_bytes: About how much text a chunk holds, >= 1; at least one row.

        Yields:
            Chunks whose rows, in order, are the rows of the source.

        Raises:
            DataError: There is no such split, or a file turns out to be damaged.
        """
        if split is not None and split not in self.splits:
            raise self._no_split(split)
        for part in self.parts:
            if split is None or part.split == split:
                for content in part.reader.contents(num_bytes):
                    yield Chunk(part.file, part.split, content)

    def rows(self, split: str | None = None) -> Iterator[Row]:
        """Read the rows, good and bad, of one split or of all. Raises as `chunks`."""
        for chunk in self.chunks(split):
            yield from chunk.rows()

    def sha256(self) -> str:
        """Hash what the files hold, and their names where there are several."""
        files = self.files
        if len(files) == 1:
            return sha256_of(files[0])
        names = {part.path: part.file for part in self.parts}
        listed = "".join(f"{names[path]} {sha256_of(path)}\n" for path in files)
        return hashlib.sha256(listed.encode()).hexdigest()

    def _no_split(self, split: str) -> DataError:
        return DataError(
            explain(
                f'"{self.name}" has no split "{split}"',
                where=", ".join(str(path) for path in self.files[:3]),
                why="its files name their splits" if len(self.splits) > 1 else "its files name no splits",
                fix=nearest(split, self.splits),
            )
        )
