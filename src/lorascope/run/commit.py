"""The storage protocol: a file or folder appears whole or not at all, and survives a kill at any moment.

A folder is written beside its final place under a hidden name, its files are flushed to disk, a manifest with their
hashes is added, and one rename commits it. Reading checks the manifest.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain

MANIFEST = "MANIFEST.json"
_HIDDEN = (".tmp-", ".old-")


@contextlib.contextmanager
def committed_folder(target: Path, *, replace: bool = False, manifest: bool = True) -> Iterator[Path]:
    """Write a folder so that it appears under its name only when it is complete.

    Args:
        target: The folder to make.
        replace: Whether an existing one is exchanged; the old one stays until the new one is on disk.
        manifest: Whether MANIFEST.json with the size and sha256 of every file is added.

    Yields:
        A hidden folder beside `target` to write into. On an exception it is removed and `target` is untouched.

    Raises:
        RunError: The target exists and `replace` is False, or the disk refuses (full, read-only, no permission).
    """
    with _disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".tmp-{target.name}-{os.getpid()}-{secrets.token_hex(4)}")
        staged.mkdir()
    try:
        yield staged
        with _disk_errors(target):
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
    old = target.with_name(f".old-{target.name}-{os.getpid()}-{secrets.token_hex(4)}")
    if target.exists():
        target.rename(old)
    staged.rename(target)
    _flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step; NaN and infinity are refused.

    Args:
        path: The file.
        value: What to store. An undefined number must be None with its reason beside it.

    Raises:
        RunError: The disk refuses.
        ValueError: A number is not finite: a bug, since JSON has no such number.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".tmp-{path.name}-{os.getpid()}")
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
                why="its files are not those that were committed, and results from them would be silently wrong",
                fix="restore it from a copy, or run its stage again with --overwrite",
            )
        )


def folder_problem(folder: Path) -> str | None:
    """Say what is wrong with a committed folder, or None when it is as it was committed."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return f"{MANIFEST} is missing or unreadable"
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
            return f"{name} was changed after it was written"
    return None


def remove_leftovers(parent: Path) -> None:
    """Remove what an interrupted commit of ours left in a folder; nothing else is touched."""
    if parent.is_dir():
        for path in parent.iterdir():
            if path.name.startswith(_HIDDEN):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


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
def _disk_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one of our errors."""
    try:
        yield
    except OSError as error:
        raise RunError(
            explain(
                f'"{target}" cannot be written: {error.strerror or error}',
                where=str(target),
                why="the disk is full or read-only, or the permission is missing",
                fix="free space or choose another --out; nothing that was there before has changed",
            )
        ) from error
