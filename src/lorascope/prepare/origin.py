"""A data file before it is read through: its rows, and from the first of them what they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from lorascope.errors import DataError, explain
from lorascope.prepare.read import BadRow, Source, SourceRow, open_whole
from lorascope.prepare.shapes.conversation import Conversation, conversations_of
from lorascope.prepare.shapes.detect import find_shape
from lorascope.prepare.shapes.shape import Shape
from lorascope.run.progress import Observer
from lorascope.run.sections import ColumnsSection

_ROWS_TO_DETECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A data file whose rows are understood.

    Attributes:
        path: Where it is.
        source: The same, opened.
        file: What it is called in example ids.
        shape: What its rows are.
        first: Its first rows.
        rest: Those after them.
        unused: Columns that nothing is learnt from.
        split: The split that all its rows go to; None leaves that to prepare.
    """

    path: Path
    source: Source
    file: str
    shape: Shape
    first: Sequence[SourceRow | BadRow]
    rest: Iterator[SourceRow | BadRow]
    unused: tuple[str, ...]
    split: str | None

    def rows(self) -> Iterator[SourceRow | BadRow]:
        """All rows; once."""
        return chain(self.first, self.rest)

    def sample(self) -> list[Conversation]:
        """Conversations of its first rows."""
        found = (
            one
            for number, row in enumerate(self.first, start=1)
            if isinstance(row, SourceRow)
            for one in conversations_of(row, self.shape, self.file, number)
        )
        return [one for one in found if isinstance(one, Conversation)]


def open_origin(
    path: Path,
    observer: Observer,
    *,
    named: str = "auto",
    columns: ColumnsSection | None = None,
    file: str | None = None,
    split: str | None = None,
) -> Origin:
    """Open a data file and find out what its rows are.

    Args:
        path: The file.
        observer: Told what is unusual about it.
        named: `prepare.format`.
        columns: `prepare.columns`.
        file: What to call it in example ids; its file name where None.
        split: The split that all its rows go to.

    Raises:
        DataError: It cannot be read, holds no rows, or its columns are not known.
        ConfigError: The format or a column that was named does not fit it.
    """
    source = open_whole(path)
    for note in source.notes:
        observer.note(f"note: {note}")
    rows = source.rows()
    first = list(islice(rows, _ROWS_TO_DETECT))
    if not first:
        raise DataError(
            explain(
                f'"{path.name}" holds no rows',
                where=str(path),
                why="there is nothing to learn from an empty file",
                fix="give a file with at least a few examples",
            )
        )
    good = [row.value for row in first if isinstance(row, SourceRow)]
    if not good:
        raise _nothing_readable(path, first)
    shape = find_shape(good, str(path), named=named, columns=columns)
    names = {str(name) for value in good if isinstance(value, dict) for name in value}
    return Origin(
        path=path,
        source=source,
        file=file or path.name,
        shape=shape,
        first=first,
        rest=rows,
        unused=tuple(sorted(names - set(shape.columns))),
        split=split,
    )


def _nothing_readable(path: Path, first: Sequence[SourceRow | BadRow]) -> DataError:
    row = first[0]
    reasons = sorted({one.reason for one in first if isinstance(one, BadRow)})
    return DataError(
        explain(
            f'"{path.name}" holds no rows with named columns',
            where=f"{path}, line {row.line}: {row.excerpt if isinstance(row, BadRow) else ''}",
            why=f"the first {len(first)} rows are: {', '.join(reasons)}",
            fix='each row must be an object such as {"instruction": ..., "output": ...}',
        )
    )
