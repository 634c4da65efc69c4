"""What a user names as data, a file, a folder or a name on the Hub -> a source that can be read."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lorascope.errors import DataError, explain
from lorascope.prepare.read.columnar import Columnar
from lorascope.prepare.read.faults import missing, unreadable
from lorascope.prepare.read.files import parts_of
from lorascope.prepare.read.folder import list_folder, refuse_mixed_columns
from lorascope.prepare.read.hub import fetch_dataset, hub_name
from lorascope.prepare.read.rows import Reader, Row, SourceRow
from lorascope.prepare.read.source import Source, SourceFile

WHOLE = "train"
"""What the only split is called where nothing names it, as in `datasets`."""
_ROWS_TO_LOOK_AT = 20
_BYTES_TO_LOOK_AT = 1 << 16
_File = tuple[Path, str, str | None]
"""Where it lies, what it is called, its split."""


def open_source(
    data: str | Path,
    *,
    key: str | None = None,
    header: bool | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> Source:
    """Find out what a user's data is and how it is read. Reads the beginning of every file.

    Args:
        data: A file, a folder, or the name of a dataset on the Hub, as in "tatsu-lab/alpaca".
        key: Where a file is one JSON object, the list in it that holds the rows; None to find it.
        header: Whether the first row of a table names its columns; None to tell by its looks.
        config: The configuration of a dataset on the Hub.
        revision: Its branch, tag or commit.

    Raises:
        DataError: It is not there, or cannot be read as rows.
    """
    path = Path(data)
    if not _exists(path):
        named = hub_name(str(data))
        if named is None or (path.parent != Path() and path.parent.is_dir()):
            raise missing(path)
        return _from_hub(named[0], key, header, config, revision or named[1])
    if config is not None or revision is not None:
        what = f'configuration "{config}"' if config is not None else f'revision "{revision}"'
        why = "only datasets on the Hub have configurations and revisions"
        raise unreadable(
            path, f"{what} was asked for, and it is no dataset on the Hub", why, "leave that out"
        )
    if not path.is_dir():
        return _source(path.name, [(path, path.name, None)], key, header)
    listing = list_folder(path)
    files = [(file, file.relative_to(path).as_posix(), split) for file, split in listing.files]
    return _source(path.resolve().name, files, key, header, listing.notes)


def open_whole(path: str | Path) -> Source:
    """Open a source that has no splits, so that all its rows can be read as one.

    Args:
        path: As in `open_source`.

    Raises:
        DataError: It cannot be opened, or has several splits.
    """
    source = open_source(path)
    if len(source.splits) > 1:
        raise DataError(
            explain(
                f'"{source.name}" holds several splits: {", ".join(source.splits)}',
                where=str(path),
                why="read as one, what is held out would be trained on",
                fix=f"name the split to read: {', '.join(source.splits)}",
            )
        )
    return source


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read the rows, good and bad, of a source that has no splits. Raises as `open_whole`."""
    return open_whole(path).rows()


def _from_hub(
    name: str, key: str | None, header: bool | None, config: str | None, revision: str | None
) -> Source:
    found = fetch_dataset(name, config=config, revision=revision)
    return _source(name, found.files, key or found.key, header, found.notes)


def _source(
    name: str,
    files: Sequence[_File],
    key: str | None,
    header: bool | None,
    notes: Sequence[str] = (),
) -> Source:
    parts: list[SourceFile] = []
    said = list(notes)
    for path, file, split in files:
        for part in parts_of(path, key=key, header=header):
            called = f"{file}:{part.key}" if part.key else file
            parts.append(SourceFile(called, part.split or split or WHOLE, path, part.reader))
            said += [*part.reader.notes, *part.notes]
    columns = [(part.file, _columns(part.reader)) for part in parts] if len(files) > 1 else []
    said += refuse_mixed_columns(columns, name)
    for one in parts:
        _refuse_tokenised(one)
    return Source(name=name, parts=tuple(parts), notes=tuple(dict.fromkeys(said)))


def _columns(reader: Reader) -> frozenset[str]:
    """The columns of a file's first rows."""
    if isinstance(reader, Columnar):
        return frozenset(reader.columns)
    rows = (row for content in reader.contents(_BYTES_TO_LOOK_AT) for row in content.rows())
    return frozenset(
        column
        for row in islice(rows, _ROWS_TO_LOOK_AT)
        if isinstance(row, SourceRow) and isinstance(row.value, dict)
        for column in row.value
    )


def _refuse_tokenised(part: SourceFile) -> None:
    if not isinstance(part.reader, Columnar):
        return
    columns = part.reader.columns
    if "input_ids" in columns and not {"text", "messages", "conversations"} & columns.keys():
        raise DataError(
            explain(
                f'"{part.file}" is tokenised already: its columns are {", ".join(columns)}',
                where=str(part.path),
                why="prepare makes tokens and labels of text; tokens no longer say what was the prompt",
                fix="give the rows they were made of; lorascope check examines a tokenised dataset as it is",
            )
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long or holds a NUL: rows in place of a file name
        return False
