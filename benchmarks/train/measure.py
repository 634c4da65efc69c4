"""Several processes take turns, step by step, on the same examples: one round after the other."""

import time
from collections.abc import Mapping
from typing import Any

from contenders import Venvs
from conversation import Failed, Worker, free_gib
from work import Job

STEP_LIMIT_S = 900.0
_PEAK_GIB = 6.0
"""Expected of a process that has not been measured yet."""
_SPARE_GIB = 1.5


def turns(
    venvs: Venvs,
    jobs: Mapping[str, Job],
    *,
    seconds: float,
    most: int,
    peaks: Mapping[str, float] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Measure contenders in rounds; in every second round the order is reversed.

    Args:
        venvs: Where they run.
        jobs: Name to job.
        seconds: After the first round none is begun that would end later.
        most: Rounds at most.
        peaks: Memory that each is known to need, GiB. Those that do not fit beside each other run in groups.

    Returns:
        Name to its steps. A contender that failed has the reason in its last one, under "failed".
    """
    steps: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    together = _groups(list(jobs), peaks or {})
    for group in together:
        share = seconds / len(together)
        _rounds(venvs, {name: jobs[name] for name in group}, steps, seconds=share, most=most)
    return steps


def _groups(names: list[str], peaks: Mapping[str, float]) -> list[list[str]]:
    """Cut the contenders where memory would run out."""
    groups: list[list[str]] = [[]]
    left = room = free_gib() - _SPARE_GIB
    for name in names:
        needed = peaks.get(name, _PEAK_GIB)
        if groups[-1] and needed > left:
            groups.append([])
            left = room
        groups[-1].append(name)
        left -= needed
    return groups


def _rounds(
    venvs: Venvs,
    jobs: Mapping[str, Job],
    steps: dict[str, list[dict[str, Any]]],
    *,
    seconds: float,
    most: int,
) -> None:
    start, longest = time.perf_counter(), 0.0
    workers = _started(venvs, jobs, steps)
    try:
        for number in range(most):
            began = time.perf_counter()
            if number and began - start + longest > seconds:
                break
            for name in list(workers)[:: -1 if number % 2 else 1]:
                one_step(workers, name, steps[name])
            longest = max(longest, time.perf_counter() - began)
    finally:
        for worker in workers.values():
            worker.stop()


def _started(
    venvs: Venvs, jobs: Mapping[str, Job], steps: dict[str, list[dict[str, Any]]]
) -> dict[str, Worker]:
    """Start all of them at once, since loading is not measured."""
    workers = {name: venvs.start(job) for name, job in jobs.items()}
    for name in list(workers):
        try:
            workers[name].wait_until_ready()
        except Failed as failed:
            steps[name].append({"failed": str(failed)})
            workers.pop(name).stop()
    return workers


def one_step(
    workers: dict[str, Worker], name: str, steps: list[dict[str, Any]], limit_s: float = STEP_LIMIT_S
) -> None:
    """Do a step of one contender; one that fails takes no further part."""
    try:
        steps.append(workers[name].step(limit_s))
    except Failed as failed:
        steps.append({"failed": str(failed)})
        workers.pop(name).stop()


def alone(venvs: Venvs, job: Job, *, steps: int = 1, limit_s: float = STEP_LIMIT_S) -> list[dict[str, Any]]:
    """Measure one contender by itself."""
    found: list[dict[str, Any]] = []
    workers = _started(venvs, {job.kind: job}, {job.kind: found})
    try:
        for _ in range(steps):
            if workers:
                one_step(workers, job.kind, found, limit_s)
    finally:
        for worker in workers.values():
            worker.stop()
    return found
