"""Work that is done piece by piece in several processes, in order, with few pieces under way at a time."""

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from lorascope.errors import DataError, explain

_BYTES_FOR_PROCESSES = 24 << 20  # 30 s of work for one process; starting several takes 5 s
_MOST_PROCESSES = 16  # one process reads the files and writes the results, and feeds no more than these
_AHEAD = 2  # pieces under way for each process, so that none waits

Key = TypeVar("Key")
Result = TypeVar("Result")


def processes_for(num_bytes: int) -> int:
    """How many processes are worth starting for so much text; 1 is this one."""
    if num_bytes < _BYTES_FOR_PROCESSES:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_PROCESSES)


def in_processes(
    work: Callable[..., Result], pieces: Iterable[tuple[Key, tuple[Any, ...]]], processes: int
) -> Iterator[tuple[Key, Result]]:
    """Call a function on many pieces.

    Args:
        work: Is sent to each process once, with what it holds; pickles.
        pieces: What is handed back beside each result, and the arguments.
        processes: How many, at least 2.

    Yields:
        Results in the order of the pieces.

    Raises:
        DataError: A process was ended from outside.
    """
    from loky import ProcessPoolExecutor
    from loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(max_workers=processes, initializer=_take, initargs=(work,))
    under_way: deque[tuple[Key, Any]] = deque()
    try:
        for key, arguments in pieces:
            under_way.append((key, pool.submit(_call, *arguments)))
            if len(under_way) > _AHEAD * processes:
                done, future = under_way.popleft()
                yield done, future.result()
        for key, future in under_way:
            yield key, future.result()
    except BrokenProcessPool as error:
        raise DataError(
            explain(
                "a process that read the data was ended from outside",
                where="prepare",
                why="the system ends processes when memory runs out",
                fix="free some memory and run the command again; nothing was written",
            )
        ) from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)


_work: Callable[..., Any] | None = None


def _take(work: Callable[..., Any]) -> None:
    """Keep what every piece needs, once per process."""
    global _work
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each process has a core of its own
    gc.set_threshold(100_000, 50, 50)  # a piece makes a million small objects, and no circles among them
    _work = work


def _call(*arguments: Any) -> Any:
    assert _work is not None
    return _work(*arguments)
