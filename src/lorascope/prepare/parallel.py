"""All sources chunk by chunk, in order: here where they are small, in several processes where that pays."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lorascope.errors import DataError, explain
from lorascope.lm.template import Template
from lorascope.prepare.origin import Origin
from lorascope.prepare.read import CHUNK_BYTES, Chunk
from lorascope.prepare.shapes.shape import Shape
from lorascope.prepare.work import Worked, work

_BYTES_FOR_PROCESSES = 24 << 20  # 30 s of work for one process; starting several takes 5 s
_MOST_PROCESSES = 16  # one process reads the files and writes the results, and feeds no more than these
_AHEAD = 2  # chunks under way for each process, so that none waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a process needs to know before it works on chunks; small enough to be sent once.

    Attributes:
        shapes: What the rows are, source by source.
        template: How conversations become tokens.
        targets: "all" assistant turns or the "last".
    """

    shapes: Sequence[Shape]
    template: Template
    targets: str

    def work(self, origin: int, chunk: Chunk) -> Worked:
        """Read, word and tokenise a chunk of one of the sources."""
        return work(chunk.rows(), shape=self.shapes[origin], template=self.template, targets=self.targets)


def num_processes(origins: Sequence[Origin]) -> int:
    """How many processes work on the chunks; 1 is this one."""
    if sum(origin.num_bytes for origin in origins) < _BYTES_FOR_PROCESSES:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_PROCESSES)


def work_through(
    origins: Sequence[Origin],
    template: Template,
    targets: str,
    *,
    processes: int | None = None,
    num_bytes: int = CHUNK_BYTES,
) -> Iterator[tuple[int, Worked]]:
    """Read, word and tokenise all rows of all sources.

    Args:
        origins: The sources.
        template: How conversations become tokens.
        targets: "all" assistant turns or the "last".
        processes: How many; None takes `num_processes`.
        num_bytes: About how much text a chunk holds.

    Yields:
        Place of the source, and what a chunk of neighbouring rows came to; in order, whatever the number of
        processes.

    Raises:
        DataError: A file turns out to be damaged, or a process was killed.
    """
    job = Job(shapes=[origin.shape for origin in origins], template=template, targets=targets)
    chunks = ((place, chunk) for place, origin in enumerate(origins) for chunk in origin.chunks(num_bytes))
    processes = num_processes(origins) if processes is None else processes
    worked = _here(job, chunks) if processes == 1 else _elsewhere(job, chunks, processes)
    rows_before: dict[tuple[int, str], int] = {}
    for place, chunk, one in worked:
        origin, before = origins[place], rows_before.get((place, chunk.file), 0)
        rows_before[place, chunk.file] = before + one.num_rows
        yield (
            place,
            one.placed(
                source=origin.name,
                file=f"{origin.label}{chunk.file}",
                first_row=before + 1,
                origin=place,
                side=origin.sides[chunk.split],
            ),
        )


def _here(job: Job, chunks: Iterator[tuple[int, Chunk]]) -> Iterator[tuple[int, Chunk, Worked]]:
    for place, chunk in chunks:
        yield place, chunk, job.work(place, chunk)


def _elsewhere(
    job: Job, chunks: Iterator[tuple[int, Chunk]], processes: int
) -> Iterator[tuple[int, Chunk, Worked]]:
    from loky import ProcessPoolExecutor
    from loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(max_workers=processes, initializer=_take, initargs=(job,))
    under_way: deque[tuple[int, Chunk, Any]] = deque()

    def next_one() -> tuple[int, Chunk, Worked]:
        place, chunk, future = under_way.popleft()
        return place, chunk, future.result()

    try:
        for place, chunk in chunks:
            under_way.append((place, replace(chunk, content=_SENT), pool.submit(_work, place, chunk)))
            if len(under_way) > _AHEAD * processes:
                yield next_one()
        while under_way:
            yield next_one()
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


class _Sent:
    """Stands for rows that were sent away, so that they are not held here."""

    def rows(self) -> Iterator[Any]:
        raise AssertionError("these rows are read elsewhere")


_SENT = _Sent()
_job: Job | None = None


def _take(job: Job) -> None:
    """Keep what every chunk needs, once per process."""
    global _job
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each process has a core of its own
    _job = job


def _work(origin: int, chunk: Chunk) -> Worked:
    assert _job is not None
    return _job.work(origin, chunk)
