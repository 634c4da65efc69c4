"""Whatever people keep rows in -> rows with their lines; what cannot be read is a named bad row, never lost.

`open_source` finds out what a file, folder or dataset on the Hub is; `Source.chunks` cuts it so that several
processes can read it, and `Source.rows` reads it here.
"""

from lorascope.prepare.read.opening import open_source, open_whole, read_rows
from lorascope.prepare.read.rows import CHUNK_BYTES, BadRow, Row, SourceRow, excerpt_of
from lorascope.prepare.read.source import Chunk, Source

__all__ = [
    "CHUNK_BYTES",
    "BadRow",
    "Chunk",
    "Row",
    "Source",
    "SourceRow",
    "excerpt_of",
    "open_source",
    "open_whole",
    "read_rows",
]
