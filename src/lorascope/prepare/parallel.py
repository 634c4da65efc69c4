"""All sources chunk by chunk, in order: here where they are small, in several processes where that pays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lorascope.lm.template import Template
from lorascope.prepare.origin import Origin
from lorascope.prepare.processes import in_processes, processes_for
from lorascope.prepare.read import CHUNK_BYTES, Chunk
from lorascope.prepare.shapes.shape import Shape
from lorascope.prepare.work import Worked, work


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
    return processes_for(sum(origin.num_bytes for origin in origins))


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
    def sent() -> Iterator[tuple[tuple[int, Chunk], tuple[int, Chunk]]]:
        for place, chunk in chunks:
            yield (place, replace(chunk, content=_SENT)), (place, chunk)

    for (place, chunk), worked in in_processes(job.work, sent(), processes):
        yield place, chunk, worked


class _Sent:
    """Stands for rows that were sent away, so that they are not held here."""

    def rows(self) -> Iterator[Any]:
        raise AssertionError("these rows are read elsewhere")


_SENT = _Sent()
