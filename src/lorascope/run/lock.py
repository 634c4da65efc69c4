"""One writer at a time: two trainings of one run would write into each other's logs and checkpoints."""

import contextlib
import os
from collections.abc import Iterator

from lorascope.errors import RunError, explain
from lorascope.run.commit import disk_errors
from lorascope.run.folder import RunFolder


@contextlib.contextmanager
def only_writer(run: RunFolder) -> Iterator[None]:
    """Hold a run's training for this process; the lock goes with the process, however it ends.

    Args:
        run: The run.

    Raises:
        RunError: Another process holds it, or the run cannot be written to.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    with disk_errors(run.path):
        descriptor = os.open(run.path / ".training.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
