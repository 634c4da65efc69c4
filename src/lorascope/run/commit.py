"""The storage protocol: a file or folder appears whole or not at all, and survives a kill at any moment.

A folder is written beside its final place under a hidden name, its files are flushed to disk, a manifest with
their hashes is added, and one rename commits it. Reading checks the manifest.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain

MANIFEST = "MANIFEST.json"
_STAGED, _OLD = ".tmp-", ".old-"
_DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def committed_folder(target: Path, *, replace: bool = False, manifest: bool = True) -> Iterator[Path]:
    """Write a folder so that it appears under its name only when it is complete.

    Args:
        target: The folder to make.
        replace: Whether an existing one is exchanged; the old one stays until the new one is on disk.
        manifest: Whether MANIFEST.json with the size and sha256 of every file is added.

    Yields:
        A hidden folder beside `target` to write into. On an exception it is removed and `target` is
        untouched.

    Raises:
        RunError: The target exists and `replace` is False, or the disk refuses (full, read-only, no
            permission).
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = _hidden(_STAGED, target)
        staged.mkdir()
    try:
        with disk_errors(target, only=_DISK_REFUSES):
            yield staged
        with disk_errors(target):
            _finish(staged, target, replace=replace, manifest=manifest)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _finish(staged: Path, target: Path, *, replace: bool, manifest: bool) -> None:
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    mode = 0o666 & ~_umask()
    for path in files:
        path.chmod(mode)  # safetensors writes 0600, which another user could not read
        _flush(path)
    if manifest:
        entries = {path.relative_to(staged).as_posix(): _entry(path) for path in files}
        _write_flushed(staged / MANIFEST, json.dumps({"schema": 1, "files": entries}, indent=1) + "\n")
    for folder in [staged, *(path for path in staged.rglob("*") if path.is_dir())]:
        _flush(folder)
    if target.exists() and not replace:
        raise RunError(
            explain(
                f'"{target}" exists already',
                where=str(target),
                why="what took hours is never erased by accident",
                fix="choose another place, or add --overwrite",
            )
        )
    old = _hidden(_OLD, target)
    if target.exists():  # a kill between the two renames is mended by remove_leftovers
        target.rename(old)
    staged.rename(target)
    _flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises:
        RunError: The disk refuses.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step; NaN and infinity are refused.

    Args:
        path: The file.
        value: What to store. An undefined number must be None with its reason beside it.

    Raises:
        RunError: The disk refuses.
        ValueError: A number is not finite: a bug, since JSON has no such number.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step.

    Raises:
        RunError: The disk refuses.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = _hidden(_STAGED, path)
        try:
            _write_flushed(staged, text)
            staged.replace(path)
            _flush(path.parent)
        finally:
            staged.unlink(missing_ok=True)


def verify_folder(folder: Path) -> None:
    """Check a committed folder against its manifest: every file there, size and sha256 unchanged.

    Raises:
        RunError: There is no manifest, or a file is missing or altered; the message names it.
    """
    problem = folder_problem(folder)
    if problem:
        raise RunError(
            explain(
                f'"{folder}" is damaged: {problem}',
                where=str(folder),
                why="its files are not those that were committed: results from them would be silently wrong",
                fix="restore it from a copy, or run its stage again with --overwrite",
            )
        )


def folder_problem(folder: Path) -> str | None:
    """Say what is wrong with a committed folder, or None when it is as it was committed."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    for name, (num_bytes, sha256) in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != num_bytes or sha256_of(path) != sha256:
            return f"{name} was changed after it was written"
    return None


def is_leftover(path: Path) -> bool:
    """Whether a file or folder is what an interrupted commit of ours leaves."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(parent: Path) -> None:
    """Remove what an interrupted commit of ours left in a folder; nothing else is touched.

    A folder that was being replaced when the commit was interrupted gets its old content back. What a process
    that is still running on this machine has staged stays.
    """
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        match = _LEFTOVER.fullmatch(path.name)
        if match is None:
            continue
        if match["kind"] == _OLD and not (parent / match["name"]).exists():
            path.rename(parent / match["name"])
        elif _is_at_work(int(match["pid"])):
            continue
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


_LEFTOVER = re.compile(r"(?P<kind>\.tmp-|\.old-)(?P<name>.+)-(?P<pid>[0-9]+)-[0-9a-f]{8}")


def _hidden(kind: str, target: Path) -> Path:
    """A name beside the target that no other process or call has; see _LEFTOVER."""
    return target.with_name(f"{kind}{target.name}-{os.getpid()}-{secrets.token_hex(4)}")


def _is_at_work(pid: int) -> bool:
    """Whether another process of this machine has this id."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_flushed(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(target: Path, *, only: Container[int] | None = None) -> Iterator[None]:
    """Turn what the operating system refuses into our error; `only` limits it to some error numbers."""
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        raise RunError(
            explain(
                f'"{target}" cannot be written: {error.strerror or error}',
                where=str(target),
                why="the disk is full or read-only, the permission is missing, or a file stands in the way",
                fix="free space or choose another --out; nothing that was there before has changed",
            )
        ) from error
