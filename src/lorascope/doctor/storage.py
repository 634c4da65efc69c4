"""Is there room on the disk that a run will be written to?"""

import os
import shutil
from pathlib import Path

from lorascope.doctor.check import Check, fail, ok, warn

_LOW_BYTES = 5 * 2**30
_NONE_BYTES = 2**29


def examine(run: Path | None) -> list[Check]:
    """Check the disk of a run folder.

    Args:
        run: The folder, there or not; None for the current one.

    Returns:
        One check.
    """
    return [disk("disk of the run", Path.cwd() if run is None else run)]


def disk(name: str, folder: Path) -> Check:
    """Check that a folder can be written to, or made, and that its disk has room.

    Args:
        name: What the check is called.
        folder: There or not.

    Returns:
        "fail" when nothing can be written or less than 0.5 GiB is free, "warn" below 5 GiB.
    """
    there = existing(folder)
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if not there.is_dir():
        return fail(name, f"{there} is a file, not a folder", "choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(
            name, f"{there} cannot be written to", "choose another folder, or give this one write permission"
        )
    if free < _NONE_BYTES:
        return fail(name, found, "free some space, or choose another disk")
    if free < _LOW_BYTES:
        return warn(name, found, "checkpoints are small, but a merged or downloaded model may not fit")
    return ok(name, found)


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
