"""A file -> its reader: what it holds is told by its first bytes, and by its name where they say nothing."""

from pathlib import Path

from lorascope.errors import DataError, explain
from lorascope.prepare.read.columnar import Columnar, columnar_format
from lorascope.prepare.read.compressed import SUFFIXES, compression_of, explaining_damage, open_bytes
from lorascope.prepare.read.delimited import delimited, usual_delimiter
from lorascope.prepare.read.faults import refuse_what_is_no_data
from lorascope.prepare.read.json_layout import json_parts, no_such_key
from lorascope.prepare.read.part import Part
from lorascope.prepare.read.stream import text_stream

_JSON = (".json", ".jsonl", ".ndjson")
_COLUMNS = {".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow"}
_TABLES = (".csv", ".tsv")
DATA_SUFFIXES = (*_JSON, *_TABLES, *_COLUMNS)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def data_suffix(path: Path) -> str:
    """The ending that says what a file holds: ".jsonl" of rows.jsonl.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while len(suffixes) > 1 and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def parts_of(path: Path, *, key: str | None = None, header: bool | None = None) -> list[Part]:
    """Find out how a file is read.

    Args:
        path: An existing file.
        key: Where it is one JSON object, the list in it that holds the rows; None to find it.
        header: Whether the first row of a table holds the names of its columns; None to tell by its looks.

    Returns:
        One part; several of a JSON object that holds several splits.

    Raises:
        DataError: It is empty, damaged, of an unknown kind or no data at all, or has no such key.
    """
    with explaining_damage(path, None):
        compression = compression_of(path)
    with explaining_damage(path, compression), open_bytes(path, compression) as file:
        head = file.read(512)
    refuse_what_is_no_data(path, head)
    suffix, begins = data_suffix(path), head.lstrip(_BLANK)
    form = columnar_format(head) or _COLUMNS.get(suffix)
    is_table = not form and suffix in _TABLES and not begins.startswith((b'{"', b"[{"))
    if key is not None and (form or is_table):
        raise no_such_key(path, key, ())
    if form:
        return [Part(Columnar(path, compression, form))]
    if is_table:
        return [Part(delimited(text_stream(path), usual_delimiter(path) or ",", header=header))]
    if suffix not in _JSON and not begins.startswith((b"{", b"[")):
        raise DataError(
            explain(
                f'files of kind "{suffix}" are not read',
                where=str(path),
                why="rows are read from JSON, JSON Lines, CSV, TSV, Parquet and Arrow files",
                fix=f"name one file ending in {', '.join(DATA_SUFFIXES)}",
            )
        )
    return json_parts(text_stream(path), key)
