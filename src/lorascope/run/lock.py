"""One writer at a time: two trainings of one run would write into each other's logs and checkpoints."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator

from lorascope.errors import RunError, explain
from lorascope.run.commit import disk_errors
from lorascope.run.folder import RunFolder

_NAME = ".training.lock"
_TRIES, _BETWEEN_S = 5, 0.05  # somebody who asks whether the lock is held holds it himself for microseconds


@contextlib.contextmanager
def only_writer(run: RunFolder) -> Iterator[None]:
    """Hold a run's training for this process; the lock goes with the process, however it ends.

    Args:
        run: The run.

    Raises:
        RunError: Another process holds it, or the run cannot be written to.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:  # no such locks on this system
        yield
        return
    with disk_errors(run.path):
        descriptor = os.open(run.path / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _take(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _here())
        except BlockingIOError as error:
            raise RunError(
                explain(
                    "another process is training this run",
                    where=str(run.path),
                    why="two trainings would write into each other's logs and checkpoints",
                    fix="wait for it, stop it, or choose another --out",
                )
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    import fcntl

    for left in reversed(range(_TRIES)):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_BETWEEN_S)


def is_being_written(run: RunFolder) -> bool | None:
    """Whether a living process trains a run.

    Args:
        run: The run.

    Returns:
        None where nobody can tell: no training has held the lock yet, the last one was on another machine,
        or the system or the file system has no such locks.
    """
    try:
        import fcntl

        descriptor = os.open(run.path / _NAME, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False if os.read(descriptor, 1 << 10) == _here() else None
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _here() -> bytes:
    """This machine's name: a lock on a shared disk may be unknown to the others."""
    return platform.node().encode()[: 1 << 10]
