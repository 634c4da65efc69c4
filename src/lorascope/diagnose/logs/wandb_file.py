"""The run file of W&B (run-ID.wandb, of a run offline or online) -> its history, without W&B.

A file is a chain of records in blocks of 32 KiB (LevelDB's log: checksum, length, kind), each a Record in
protobuf's wire format. Of a Record only what was logged is read; the console, the machine and the summary,
which is written anew with each step, are passed over.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.faults import AS_HISTORY, nothing_logged
from lorascope.diagnose.logs.table import table_run
from lorascope.diagnose.logs.wire_format import fields_of

FORM = "run file of W&B"
PRINTED = Path("files") / "output.log"
"""Within a run folder, what the run printed."""

_MAGIC = b":W&B"
_FILE_HEADER = 7
_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_BLOCK_BYTES = 1 << 15
# Kinds: what is longer than a block is cut into a first part, middle ones and a last one.
_WHOLE, _FIRST, _LAST = 1, 2, 4

# Field numbers of wandb_internal.proto.
_RECORD_HISTORY = 2
_HISTORY_ITEM = 1
_ITEM_KEY, _ITEM_NESTED_KEY = 1, 2
_ITEM_INTEGER, _ITEM_NUMBER, _ITEM_JSON, _ITEM_VALUE_JSON = 5, 6, 8, 16


def run_files(folder: Path) -> list[Path]:
    """The run files of a run folder, or of the run folders in a folder "wandb", the newest last."""
    found = [*folder.glob("*.wandb"), *folder.glob("*run-*/*.wandb")]
    return sorted(found, key=lambda one: one.stat().st_mtime)


def is_wandb_file(head: bytes) -> bool:
    """Whether a file's first bytes are those of a run file."""
    return head.startswith(_MAGIC)


def wandb_run(data: bytes, path: Path, given: Mapping[str, str] | None = None) -> LoggedRun:
    """Read one file.

    Args:
        data: All of its bytes.
        path: Its name, for messages.
        given: Quantity -> name where it is not to be guessed.

    Raises:
        RunError: What was logged holds no loss.
        NothingLogged: Nothing was logged yet.
    """
    history, whole = history_of(data)
    if not history:
        raise nothing_logged(
            path,
            "the run file holds no history",
            "nothing was logged yet, or its first record is damaged",
            f"let training go on; {AS_HISTORY}",
            form=FORM,
        )
    problems = []
    if not whole:
        problems.append(
            f"{path.name} is damaged or still being written: {len(history):,} lines before that were read"
        )
    return table_run(history, path, FORM, given, problems=problems)


def history_of(data: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Read what was logged.

    Args:
        data: All bytes of a file.

    Returns:
        A line for each call that logged, "outer/inner" where a name is nested, and whether the file is whole:
        reading stops at the first record that is cut or damaged.
    """
    lines: list[dict[str, Any]] = []
    try:
        for record in _records(data):
            lines += [_line(value) for number, value in fields_of(record) if number == _RECORD_HISTORY]
    except (ValueError, IndexError, struct.error):
        return lines, False
    return lines, True


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file.

    Raises:
        ValueError, struct.error: One is cut or damaged.
    """
    at, record = _FILE_HEADER, b""
    while at < len(data):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _HEADER.size:  # no header fits: the block's end is filled up
            at += left
            continue
        checksum, length, kind = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        part = data[at : at + length]
        if zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:
            raise ValueError("a record is cut or damaged")
        at += length
        record = part if kind in (_WHOLE, _FIRST) else record + part
        if kind in (_WHOLE, _LAST):
            yield record


def _line(history: int | bytes) -> dict[str, Any]:
    items = [_item(value) for number, value in _nested(history) if number == _HISTORY_ITEM]
    return {name: value for name, value in items if value is not None}


def _item(item: int | bytes) -> tuple[str, Any]:
    """Name and value; None for a value of another kind than numbers and JSON."""
    names: list[str] = []
    told: Any = None
    for number, value in _nested(item):
        if number in (_ITEM_KEY, _ITEM_NESTED_KEY) and isinstance(value, bytes):
            names.append(value.decode("utf-8", errors="replace"))
        elif number in (_ITEM_JSON, _ITEM_VALUE_JSON) and isinstance(value, bytes):
            told = json.loads(value)
        elif number == _ITEM_INTEGER and isinstance(value, int):
            told = value >> 1 ^ -(value & 1)  # zigzag: 0, -1, 1, -2, ... are written as 0, 1, 2, 3
        elif number == _ITEM_NUMBER and isinstance(value, bytes):
            told = struct.unpack("<d", value)[0]
    return "/".join(names), told


def _nested(value: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return fields_of(value)
