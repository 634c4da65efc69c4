"""The run file of W&B (run-ID.wandb, of a run offline or online) -> its history, without W&B.

A file is a chain of records (`record_chain`), each a Record in protobuf's wire format. Of a Record only what
was logged is read; the console, the machine and the summary, which is written anew with each step, are passed
over.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.damage import Span, damage_told, pass_over
from lorascope.diagnose.logs.faults import AS_HISTORY, nothing_logged
from lorascope.diagnose.logs.json_value import json_value
from lorascope.diagnose.logs.record_chain import records_of
from lorascope.diagnose.logs.table import table_run
from lorascope.diagnose.logs.wire_format import fields_of

FORM = "run file of W&B"
PRINTED = Path("files") / "output.log"
"""Within a run folder, what the run printed."""

_MAGIC = b":W&B"
_FILE_HEADER = 7

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
    history, passed_over = history_of(data)
    if not history:
        raise nothing_logged(
            path,
            "the run file holds no history",
            "nothing was logged yet, or its first record is damaged",
            f"let training go on; {AS_HISTORY}",
            form=FORM,
        )
    problems = damage_told(path.name, passed_over, len(data), len(history), "line")
    return table_run(history, path, FORM, given, problems=problems)


def history_of(data: bytes) -> tuple[list[dict[str, Any]], list[Span]]:
    """Read what was logged.

    Args:
        data: All bytes of a file.

    Returns:
        A line for each call that logged, "outer/inner" where a name is nested, and the spans of bytes that
        could not be read.
    """
    lines: list[dict[str, Any]] = []
    passed_over: list[Span] = []
    for record, span in records_of(data, _FILE_HEADER, passed_over):
        try:
            lines += [_line(value) for number, value in fields_of(record) if number == _RECORD_HISTORY]
        except (ValueError, IndexError, struct.error):
            pass_over(passed_over, *span)
    return lines, passed_over


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
            told = _decoded(value)
        elif number == _ITEM_INTEGER and isinstance(value, int):
            told = value >> 1 ^ -(value & 1)  # zigzag: 0, -1, 1, -2, ... are written as 0, 1, 2, 3
        elif number == _ITEM_NUMBER and isinstance(value, bytes):
            told = struct.unpack("<d", value)[0]
    return "/".join(names), told


def _decoded(value: bytes) -> Any:
    try:
        return json_value(value)
    except RecursionError:  # no number is nested that deep
        return None


def _nested(value: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return fields_of(value)
