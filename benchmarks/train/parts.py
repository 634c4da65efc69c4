"""The parts of the benchmark, in order: what each measures, and its share of the time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, Venvs
from ladder_names import RUNGS
from measure import alone, turns
from parity import STEPS, gate
from results import Results
from work import Job

ROUNDS, HEADLINE_ROUNDS = 4, 5
ROW_TOKENS = (512, 1024, 2048, 4096)
TRIED = {
    "trl": (4, 8),
    "trl-mixed": (4, 8),
    "trl-free": (4, 8),
    "trl-length": (4, 8),
    "trl-packing": (512, 1024),
    "trainer": (4, 8),
    "classic": (4, 8),
}
"""Settings that are tried before the cells are measured: examples in a pass, or tokens in a packed row. All 32
examples of a step in one pass took TRL more than 1.3 times as long as passes of 4, and 18.9 GB."""
_PATIENCE = {False: 1.3, True: 2.5}
"""A setting may take so many times as long as the best of its kind; longer where its examples are others."""
_TWO_STEPS_S = 160.0
"""Time from which on memory is measured over two steps."""
TRIED_BATCH = 16
"""Examples of the step that settings are tried on: as many as tell them apart, in half of the time."""
CLASSIC_BATCH = 8
"""Examples with which the classic recipe is tried: its passes have one shape, so its rate needs no more."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all parts know."""

    venvs: Venvs
    folder: Path
    results: Results
    precisions: tuple[str, ...]
    smoke: bool

    @property
    def batches(self) -> tuple[int, ...]:
        """Largest first: it is the headline's."""
        return (8, 4) if self.smoke else (32, 16, 4)

    def job(self, kind: str, **more: Any) -> Job:
        """A job in the prepared folder, at the headline's settings."""
        given = {"batch": self.batches[0], "precision": self.precisions[0], **more}
        return Job(str(self.folder), kind, **given)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmark.

    Attributes:
        key: Of its record.
        weight: Its share of the time that is left, beside the other parts' weights.
        run: Measures it; gets the seconds it may take.
    """

    key: str
    weight: float
    run: Callable[[float], Any]


def cell_key(precision: str, batch: int, dropout: float, data: str = "alpaca") -> str:
    """Key of a cell's record."""
    return f"cell {data} {precision} batch {batch} dropout {dropout:g}"


def all_parts(bench: Bench) -> list[Part]:
    """Every part, the ones that later ones need first."""
    parts = [Part("parity", 7, lambda seconds: _parity(bench))]
    if bench.venvs.peers:
        parts += [
            Part(f"tried {name}", 12, lambda seconds, name=name: try_settings(bench, name))
            for name in bench.precisions
        ]
    headline = bench.batches[0]
    for precision in bench.precisions:
        for batch in bench.batches:
            for dropout in (0.0, 0.1):
                first = (precision, batch, dropout) == (bench.precisions[0], headline, 0.0)
                weight = 26.0 if first else 7.0 * (batch / headline) ** 0.5
                job = bench.job("lorascope", precision=precision, batch=batch, dropout=dropout)
                parts.append(_cell_part(bench, job, weight, first=first, classic=first or batch < headline))
    for data, batch in (("bare", headline), ("long", headline // 2)):
        job = bench.job("lorascope", data=data, batch=batch)
        parts.append(_cell_part(bench, job, 5.0, first=False, classic=False))
    parts.append(Part("memory", 5, lambda seconds: memory(bench, seconds)))
    parts.append(Part("ladder", 12, lambda seconds: ladder(bench, seconds)))
    parts.append(Part("profile", 2, lambda seconds: alone(bench.venvs, bench.job("profile"))))
    return parts


def _parity(bench: Bench) -> dict[str, Any]:
    return gate(bench.venvs, bench.folder, bench.precisions, steps=5 if bench.smoke else STEPS)


def try_settings(bench: Bench, precision: str) -> dict[str, list[dict[str, Any]]]:
    """One step of each peer at each of its settings; a setting that is far slower is stopped."""
    found: dict[str, list[dict[str, Any]]] = {}
    known = best_settings(bench.results.get(f"tried {bench.precisions[0]}") or {})
    for kind, settings in TRIED.items():
        if kind == "trl-mixed" and precision == "float32":
            continue
        found[kind] = []
        # For a further precision each peer is tried at what was best for the first.
        for setting in [known[kind]["setting"]] if kind in known else settings:
            job = with_setting(bench.job(kind, precision=precision), kind, setting)
            job = replace(job, batch=min(job.batch, TRIED_BATCH))
            if kind == "classic":
                job = replace(job, batch=min(job.batch, CLASSIC_BATCH))
            taken = [one["seconds"] for one in found[kind] if "seconds" in one]
            limit = _PATIENCE[CONTENDERS[kind].own_order] * min(taken) + 5 if taken else 600.0
            step = alone(bench.venvs, job, limit_s=limit)[-1]
            found[kind].append({"setting": setting, "batch": job.batch, **step})
    return found


def with_setting(job: Job, kind: str, setting: int) -> Job:
    """A job at one of the settings that were tried."""
    return replace(job, length=setting) if kind == "trl-packing" else replace(job, micro=setting)


def best_settings(tried: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of each peer the setting with the most original tokens per second; peers that failed are left out."""
    best = {}
    for kind, steps in tried.items():
        done = [one for one in steps if "seconds" in one]
        if done:
            best[kind] = max(done, key=lambda one: one["tokens"] / one["seconds"])
    return best


def best_of_trl(best: dict[str, dict[str, Any]]) -> list[str]:
    """TRL's fastest way on the very same steps, and its fastest in an order of its own."""
    ranked = sorted(
        (kind for kind in best if kind.startswith("trl")),
        key=lambda kind: -best[kind]["tokens"] / best[kind]["seconds"],
    )
    chosen = []
    for own in (False, True):
        chosen += [kind for kind in ranked if CONTENDERS[kind].own_order == own][:1]
    return chosen


def _cell_part(bench: Bench, job: Job, weight: float, *, first: bool, classic: bool) -> Part:
    key = cell_key(job.precision, job.batch, job.dropout, job.data)
    return Part(key, weight, lambda seconds: cell(bench, job, seconds, headline=first, classic=classic))


def cell(bench: Bench, job: Job, seconds: float, *, headline: bool, classic: bool) -> dict[str, Any]:
    """Contenders in turns at one batch size, dropout and precision.

    In the headline's cell the classic recipe and the limit take part in every round; elsewhere they do one
    step, and the classic recipe none where time is short.
    """
    best = best_settings(bench.results.get(f"tried {job.precision}") or {})
    jobs = {"lorascope": job}
    for kind in [*best_of_trl(best), *(["classic"] if classic and "classic" in best else [])]:
        jobs[kind] = with_setting(replace(job, kind=kind), kind, best[kind]["setting"])
    jobs["limit"] = replace(job, kind="limit")
    peaks = {kind: best[kind]["peak_gib"] * 1.2 for kind in jobs if kind in best} | {"limit": 1.0}
    peaks["lorascope"] = 4.5
    most = (1 if bench.smoke else HEADLINE_ROUNDS) if headline else (1 if bench.smoke else ROUNDS)
    if headline:
        return turns(bench.venvs, jobs, seconds=seconds, most=most, peaks=peaks)
    once = {kind: jobs.pop(kind) for kind in ("limit", "classic") if kind in jobs}
    found = turns(bench.venvs, jobs, seconds=seconds * 0.7, most=most, peaks=peaks)
    for kind, own in once.items():
        if kind == "classic" and best[kind]["seconds"] * own.batch / best[kind]["batch"] > seconds * 0.6:
            found[kind] = [{"failed": "not run: a step would take too long for this cell"}]
        else:
            found[kind] = alone(bench.venvs, own)
    return found


def memory(bench: Bench, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Peak memory and speed by the tokens of a row, one process after the other."""
    steps = 1 if bench.smoke or seconds < _TWO_STEPS_S else 2
    return {
        str(tokens): alone(bench.venvs, bench.job("lorascope", row_tokens=tokens), steps=steps)
        for tokens in ROW_TOKENS
    }


def ladder(bench: Bench, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Each rung by itself, on the same examples; a second time in the other order where time allows."""
    start = time.perf_counter()
    found = {rung: alone(bench.venvs, bench.job(rung)) for rung in RUNGS}
    if not bench.smoke and 2 * (time.perf_counter() - start) < seconds:
        for rung in reversed(RUNGS):
            found[rung] += alone(bench.venvs, bench.job(rung))
    return found


def planned(parts: Sequence[Part], results: Results, minutes: float) -> str:
    """The plan in words: seconds for each part that is left."""
    left = [part for part in parts if part.key not in results]
    total = sum(part.weight for part in left) or 1.0
    seconds = minutes * 60 - results.spent_s
    lines = [f"{len(left)} parts in {seconds / 60:.0f} minutes:"]
    lines += [f"  {part.key:44} {seconds * part.weight / total:5.0f} s" for part in left]
    return "\n".join(lines)
