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
from collections.abc import Collection, Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain

MANIFEST = "MANIFEST.json"
_SCHEMA = 1
_STAGED, _OLD, _GONE = ".tmp-", ".old-", ".gone-"
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
        make_folder(target.parent)
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
        flush(path)
    if manifest:
        entries = {path.relative_to(staged).as_posix(): _entry(path) for path in files}
        _write_flushed(staged / MANIFEST, json.dumps({"schema": _SCHEMA, "files": entries}, indent=1) + "\n")
    for folder in [staged, *(path for path in staged.rglob("*") if path.is_dir())]:
        flush(folder)
    if target.exists() and not replace:
        raise RunError(
            explain(
                f'"{target}" exists already',
                where=str(target),
                why="what took hours is never erased by accident",
                fix="choose another place, or add --overwrite",
            )
        )
    _exchange(staged, target)


def _exchange(staged: Path, target: Path) -> None:
    """Give a staged folder its name; what had the name before goes."""
    old = _hidden(_OLD, target)
    if target.exists():  # a kill between the two renames is mended by remove_leftovers
        target.rename(old)
    try:
        staged.rename(target)
    except BaseException:  # the disk refuses, or somebody pressed Ctrl-C twice
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder so that it is never seen half there: it loses its name before its first file.

    Raises:
        RunError: The disk refuses.
    """
    gone = _hidden(_GONE, path)
    with disk_errors(path):
        path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)  # what is left is a leftover


@contextlib.contextmanager
def set_aside(path: Path) -> Iterator[None]:
    """Free a folder's name for another one; on an exception all is back, as it was.

    Raises:
        RunError: The disk refuses.
    """
    old = _hidden(_OLD, path) if path.exists() else None
    if old is not None:
        with disk_errors(path):
            path.rename(old)
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if old is not None:
            old.rename(path)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)  # what is left is a leftover


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises:
        RunError: The disk refuses.
    """
    with disk_errors(path):
        made = [path, *path.parents][: _num_missing(path)]
        path.mkdir(parents=True, exist_ok=True)
        for folder in made:
            flush(folder.parent)  # else a power cut could take the folder and all that is on disk in it


def _num_missing(path: Path) -> int:
    return next((n for n, folder in enumerate([path, *path.parents]) if folder.exists()), 0)


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
        make_folder(path.parent)
        staged = _hidden(_STAGED, path)
        try:
            _write_flushed(staged, text)
            staged.replace(path)
            flush(path.parent)
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


def folder_problem(folder: Path, needs: Collection[str] = ()) -> str | None:
    """Say what is wrong with a committed folder, or None when it is as it was committed.

    Args:
        folder: The folder.
        needs: Files that it must have, whatever its manifest says.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
        if manifest["schema"] != _SCHEMA:
            raise ValueError(manifest["schema"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    for name in needs:
        if name not in expected:
            return f"{name} is missing in {MANIFEST}"
    for name, (num_bytes, sha256) in expected.items():
        problem = _file_problem(folder / name, num_bytes, sha256)
        if problem:
            return f"{name} {problem}"
    return None


def _file_problem(path: Path, num_bytes: int, sha256: str) -> str | None:
    try:
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != num_bytes or sha256_of(path) != sha256:
            return "was changed after it was written"
    except OSError as error:  # no permission, or the disk fails
        return f"cannot be read: {error.strerror or error}"
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


_LEFTOVER = re.compile(r"(?P<kind>\.tmp-|\.old-|\.gone-)(?P<name>.+)-(?P<pid>[0-9]+)-[0-9a-f]{8}")


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


def flush(path: Path) -> None:
    """Put a file on disk, or a folder's names: a new file outlives a power cut only if its name does too."""
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
    except Exception as error:
        number = _error_number(error)
        if not isinstance(error, OSError) and number is None:
            raise
        if only is not None and number not in only:
            raise
        said = os.strerror(number) if number is not None else str(error)
        raise RunError(
            explain(
                f'"{target}" cannot be written: {said}',
                where=str(target),
                why="the disk is full or read-only, the permission is missing, or a file stands in the way",
                fix="free space and go on (train: --resume), or choose another --out; nothing that was there "
                "before has changed",
            )
        ) from error


def _error_number(error: Exception) -> int | None:
    """The operating system's number of an error, also where safetensors or tokenizers report it in words."""
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_ERROR.search(str(error))
    return int(found[1]) if found else None


_RUST_ERROR = re.compile(r"\(os error ([0-9]+)\)")
