"""A source before it is read through: its splits, and from its first rows what they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lorascope.errors import DataError, explain
from lorascope.prepare.read import CHUNK_BYTES, BadRow, Chunk, Source, SourceRow, open_source
from lorascope.prepare.read.splits import canonical_split
from lorascope.prepare.shapes.conversation import Conversation, conversations_of
from lorascope.prepare.shapes.detect import find_shape
from lorascope.prepare.shapes.shape import Shape
from lorascope.run.data_sections import DataSection
from lorascope.run.progress import Observer
from lorascope.run.splits import ANY_SIDE, SPLITS

_ROWS_TO_DETECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A source whose rows are understood.

    Attributes:
        section: As the recipe names it.
        source: Opened.
        label: What stands before the file's name in example ids; "" for the only source.
        shape: What its rows are.
        first: Its first rows.
        unused: Columns that nothing is learnt from.
        sides: Its splits that are read, with the side their rows go to.
    """

    section: DataSection
    source: Source
    label: str
    shape: Shape
    first: Sequence[SourceRow | BadRow]
    unused: tuple[str, ...]
    sides: Mapping[str, int]

    @property
    def name(self) -> str:
        """What it is called in counts and metrics."""
        return self.section.called

    @property
    def where(self) -> str:
        """Where it lies, for messages."""
        return self.section.path

    @property
    def num_bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in self.source.files)

    def chunks(self, num_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
        """All its rows, split by split, in chunks of about so much text."""
        for split in self.sides:
            yield from self.source.chunks(split, num_bytes=num_bytes)

    def sample(self) -> list[Conversation]:
        """Conversations of its first rows."""
        found = (
            one
            for number, row in enumerate(self.first, start=1)
            if isinstance(row, SourceRow)
            for one in conversations_of(row, self.shape, self.name, number)
        )
        return [one for one in found if isinstance(one, Conversation)]


def open_origin(
    section: DataSection, observer: Observer, *, label: str = "", split: str | None = None
) -> Origin:
    """Open a source and find out what its rows are.

    Args:
        section: Names it.
        observer: Told what is unusual about it.
        label: What stands before the file's name in example ids.
        split: The split of the run that all its rows go to; None leaves that to the source and to prepare.

    Raises:
        DataError: It cannot be read, holds no rows, its splits or its columns are not known.
        ConfigError: The format or a column that was named does not fit it.
    """
    source = open_source(
        section.path,
        key=section.key,
        header=section.header,
        config=section.config,
        revision=section.revision,
    )
    sides = _sides(source, section, split)
    for note in source.notes:
        observer.note(f"note: {note}")
    first = list(islice((row for name in sides for row in source.rows(name)), _ROWS_TO_DETECT))
    if not first:
        raise DataError(
            explain(
                f'"{section.called}" holds no rows',
                where=section.path,
                why="there is nothing to learn from an empty file",
                fix="give a file with at least a few examples",
            )
        )
    good = [row.value for row in first if isinstance(row, SourceRow)]
    if not good:
        raise _nothing_readable(section.path, first)
    shape = find_shape(good, section.path, named=section.format or "auto", columns=section.columns)
    if section.split is None and set(sides.values()) == {ANY_SIDE}:
        shape = replace(shape, split_column=_split_column(good))
    names = {str(name) for value in good if isinstance(value, dict) for name in value}
    return Origin(
        section=section,
        source=source,
        label=label,
        shape=shape,
        first=first,
        unused=tuple(sorted(names - {*shape.columns, shape.split_column})),
        sides=sides,
    )


def _sides(source: Source, section: DataSection, forced: str | None) -> dict[str, int]:
    """Where the rows of each split go: a source that holds something out keeps it held out."""
    if section.split is not None:
        next(iter(source.chunks(section.split)), None)  # refuses a split that is not there
    names = source.splits if section.split is None else (section.split,)
    if forced is not None or len(names) == 1:
        return dict.fromkeys(names, ANY_SIDE if forced is None else SPLITS.index(forced))
    meant = {name: canonical_split(name) for name in names}
    unknown = [name for name, split in meant.items() if split is None]
    if unknown:
        raise DataError(
            explain(
                f'"{section.called}" holds the splits {", ".join(names)}',
                where=section.path,
                why=f"whether {', '.join(unknown)} is for training or held out cannot be told",
                fix=f"name the one to read: data: [{{path: {section.path}, split: {unknown[0]}}}]",
            )
        )
    return {name: ANY_SIDE if split == "train" else SPLITS.index(str(split)) for name, split in meant.items()}


def _split_column(values: Sequence[Any]) -> str | None:
    """A column called split in which every row names one, as files that hold all their splits write them."""
    found = {value.get("split") for value in values if isinstance(value, Mapping)}
    named = {canonical_split(one) if isinstance(one, str) else None for one in found}
    return "split" if "train" in named and None not in named else None


def _nothing_readable(where: str, first: Sequence[SourceRow | BadRow]) -> DataError:
    row = first[0]
    reasons = sorted({one.reason for one in first if isinstance(one, BadRow)})
    return DataError(
        explain(
            f'"{Path(where).name}" holds no rows with named columns',
            where=f"{where}, line {row.line}: {row.excerpt if isinstance(row, BadRow) else ''}",
            why=f"the first {len(first)} rows are: {', '.join(reasons)}",
            fix='each row must be an object such as {"instruction": ..., "output": ...}',
        )
    )
