"""A path -> its bytes: of a file, or of a pipe, whose bytes are there only once."""

import os
import select
import stat
import time
from pathlib import Path

from lorascope.diagnose.logs.faults import unreadable

_FIRST_WAIT_S = 5.0  # for somebody to open the other end; one who is there may take any time
_LOOK_AGAIN_S = 0.02
_BLOCK_BYTES = 1 << 20


def content_of(path: Path) -> bytes:
    """Read everything, opening the path once.

    Args:
        path: A file or a pipe: a named one, /dev/stdin, or what a shell puts for <(...).

    Raises:
        RunError: It is a terminal or another device, or a pipe that nobody writes to.
        OSError: It cannot be read.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return path.read_bytes()
    if not stat.S_ISFIFO(mode):
        raise unreadable(
            path,
            "this is neither a file nor a pipe",
            "a log is read to its end, which a terminal or a device does not have",
            "give the file of the log, or send it through a pipe",
        )
    told = _piped(path)
    if told is None:
        raise unreadable(
            path,
            "nothing came out of the pipe",
            f"nobody wrote to it within {_FIRST_WAIT_S:.0f} s, or what was in it has been read already",
            "start what writes to it, or give the file of the log",
        )
    return told


def _piped(path: Path) -> bytes | None:
    """What comes out of a pipe until its writers are gone; None where none came in time."""
    told = bytearray()
    began, had_writer = time.monotonic(), False
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # else opening one without a writer would never end
    try:
        while True:
            try:
                block = os.read(pipe, _BLOCK_BYTES)
            except BlockingIOError:  # a writer is there and has nothing to say yet
                had_writer = True
                select.select([pipe], [], [])
                continue
            told += block
            if not block:
                if told or had_writer:
                    return bytes(told)
                if time.monotonic() - began > _FIRST_WAIT_S:
                    return None
                time.sleep(_LOOK_AGAIN_S)
    finally:
        os.close(pipe)
