"""A compressed file -> its bytes. What compresses it is told from its first bytes, not from its name."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from lorascope.errors import DataError
from lorascope.prepare.read.faults import unreadable

_MAGICS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz")


def compression_of(path: Path) -> str | None:
    """Say what compresses a file: "gzip", "zstd", "bzip2", "xz" or None."""
    with path.open("rb") as file:
        head = file.read(6)
    return next((name for magic, name in _MAGICS.items() if head.startswith(magic)), None)


def open_bytes(path: Path, compression: str | None) -> BinaryIO:
    """Open a file for reading what it holds, decompressed piece by piece."""
    if compression == "zstd":
        import pyarrow as pa  # its zstd checks that the last frame is whole; zstandard's reader does not

        return io.BufferedReader(cast(io.RawIOBase, pa.input_stream(str(path), compression="zstd")))
    if compression == "gzip":
        return cast(BinaryIO, gzip.open(path))
    if compression == "bzip2":
        return cast(BinaryIO, bz2.open(path))
    if compression == "xz":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


@contextmanager
def explaining_damage(path: Path, compression: str | None) -> Iterator[None]:
    """Turn what the operating system or a decompressor raises into one message.

    Raises:
        DataError: In place of OSError, EOFError and the errors of zlib and lzma.
    """
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if compression is None or (isinstance(error, OSError) and error.errno is not None):
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise unreadable(path, reason, "the operating system refuses to open it") from error
        raise unreadable(
            path,
            f"it is cut or damaged ({compression}: {str(error).splitlines()[0][:100]})",
            "rows behind the damage are lost, and nobody knows how many",
            "download or copy it again, and compare its size",
        ) from error
