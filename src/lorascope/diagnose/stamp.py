"""A run or a log -> what changes with every line that is written to it, without reading it."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lorascope.run.folder import RunFolder, is_run
from lorascope.run.lock import is_being_written


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What can be known of a log without opening it; equal where nothing was written in between.

    Attributes:
        files: Path, bytes and time of the last change in nanoseconds, of every file that may tell something.
        goes_on: As of `is_being_written`; None for the log of another trainer.
    """

    files: tuple[tuple[str, int, int], ...]
    goes_on: bool | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(size for _, size, _ in self.files)

    @property
    def written_s(self) -> float | None:
        """When a file was last written to, in seconds since 1970; None where there is no file."""
        return max((changed for _, _, changed in self.files), default=0) / 1e9 or None


def stamp_of(path: Path) -> Stamp:
    """Look at the files of a run, at a log, or at everything in a folder with one."""
    if is_run(path):
        run = RunFolder(path)
        goes_on = is_being_written(run)  # asked first: what a training leaves, it has left before it lets go
        told = (run.steps, run.evals, run.train_failure, run.train_summary)
        return Stamp(files=tuple(_stats(told)), goes_on=goes_on)
    return Stamp(files=tuple(_stats(sorted(path.rglob("*")) if path.is_dir() else (path,))))


def _stats(paths: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for path in paths:
        with contextlib.suppress(OSError):  # not there yet, or gone since it was listed
            if path.is_file():
                told = path.stat()
                yield str(path), told.st_size, told.st_mtime_ns
