"""Records -> the figures that the page and the chart show. No text here, and nothing measured."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contenders import CONTENDERS
from parts import best_settings, cell_key

Steps = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One contender in one cell.

    Attributes:
        kind: Key of `CONTENDERS`.
        setting: Examples in a pass, or tokens in a packed row; None where there is nothing to choose.
        rounds: Steps measured.
        examples_per_s: Median over the rounds. Of those with an order of their own: original tokens per
            second over the mean length of the examples that the others had.
        targets_per_s: Likewise.
        ratio: How many times as fast lorascope is; the median of the rounds' own ratios where both had the
            same examples.
        peak_gib: Most resident memory.
        gap: Largest relative difference of a step's loss from the padded reference; None where there is none.
        tried_only: Whether this is the one step of trying settings.
    """

    kind: str
    setting: int | None
    rounds: int
    examples_per_s: float
    targets_per_s: float
    ratio: float | None
    peak_gib: float
    gap: float | None
    tried_only: bool = False


def done(steps: Steps | None) -> Steps:
    """The steps that were measured."""
    return [step for step in steps or [] if "seconds" in step]


def failures(steps: Steps | None) -> list[str]:
    """Why a contender has no further steps, the first line of each reason."""
    return [step["failed"].splitlines()[0] for step in steps or [] if "failed" in step]


class Figures:
    """All that is derived from a file of results."""

    def __init__(self, path: Path) -> None:
        stored = json.loads(path.read_text(encoding="utf-8"))
        self.facts: dict[str, Any] = stored["facts"]
        self.records: dict[str, Any] = stored["records"]
        self.spent_min = stored["spent_s"] / 60
        self.complete: bool = stored["complete"]

    @property
    def precision(self) -> str:
        """What `precision: auto` chooses on this machine: the headline's."""
        return "bf16" if self.facts["bf16"] else "float32"

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes, the headline's first."""
        return (8, 4) if self.facts["smoke"] else (32, 16, 4)

    @property
    def headline(self) -> list[Line]:
        """The headline's cell: turns first, then what was only tried, fastest first."""
        found = self.cell(self.precision, self.batches[0], 0.0)
        if not found:
            return []
        known, ours = {line.kind for line in found}, found[0]
        tried = self.records.get(f"tried {self.precision}") or {}
        others = [
            self._tried_line(kind, best, ours)
            for kind, best in best_settings(tried).items()
            if kind not in known and kind != "classic"
        ]
        return [ours, *sorted([*found[1:], *others], key=lambda line: -line.examples_per_s)]

    def cell(self, precision: str, batch: int, dropout: float, data: str = "alpaca") -> list[Line]:
        """The contenders of a cell, lorascope first; empty where it was not run."""
        record = self.records.get(cell_key(precision, batch, dropout, data)) or {}
        ours = done(record.get("lorascope"))
        if not ours:
            return []
        best = best_settings(self.records.get(f"tried {precision}") or {})
        mean = sum(step["tokens"] for step in ours) / sum(step["examples"] for step in ours)
        share = sum(step["targets"] for step in ours) / sum(step["tokens"] for step in ours)
        plain = next((done(record[k]) for k in ("classic", "trainer", "trl") if done(record.get(k))), [])
        lines = []
        for kind in CONTENDERS:
            steps = done(record.get(kind))
            if not steps:
                continue
            own = CONTENDERS[kind].own_order
            tokens_per_s = median(step["tokens"] / step["seconds"] for step in steps)
            rate = tokens_per_s / mean if own else median(s["examples"] / s["seconds"] for s in steps)
            targets = tokens_per_s * share if own else median(s["targets"] / s["seconds"] for s in steps)
            lines.append(
                Line(
                    kind=kind,
                    setting=best[kind]["setting"] if kind in best else None,
                    rounds=len(steps),
                    examples_per_s=rate,
                    targets_per_s=targets,
                    ratio=None if kind == "lorascope" else self._ratio(ours, steps, rate, own),
                    peak_gib=max(step["peak_gib"] for step in steps),
                    gap=None if own or dropout else largest_gap(steps, plain),
                )
            )
        return lines

    def _ratio(self, ours: Steps, theirs: Steps, rate: float, own_order: bool) -> float:
        if own_order:
            return median(s["examples"] / s["seconds"] for s in ours) / rate
        return median(b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=False))

    def _tried_line(self, kind: str, step: dict[str, Any], ours: Line) -> Line:
        record = self.records[cell_key(self.precision, self.batches[0], 0.0)]
        mine = done(record["lorascope"])
        mean = sum(s["tokens"] for s in mine) / sum(s["examples"] for s in mine)
        # Settings are tried on other examples than the cell's, so only original tokens compare.
        rate = step["tokens"] / step["seconds"] / mean
        return Line(
            kind=kind,
            setting=step["setting"],
            rounds=1,
            examples_per_s=rate,
            targets_per_s=rate * sum(s["targets"] for s in mine) / sum(s["examples"] for s in mine),
            ratio=ours.examples_per_s / rate,
            peak_gib=step["peak_gib"],
            gap=None,
            tried_only=True,
        )

    def efficiency(self, precision: str, batch: int, dropout: float, data: str = "alpaca") -> float | None:
        """Share of the limit that is reached, all of the job counted; median over the rounds."""
        return self._of_limit(precision, batch, dropout, data, ("frozen", "head", "adapters", "attention"))

    def efficiency_of_products(self, precision: str, batch: int) -> float | None:
        """Share of the time of the frozen products and the head alone."""
        return self._of_limit(precision, batch, 0.0, "alpaca", ("frozen", "head"))

    def _of_limit(
        self, precision: str, batch: int, dropout: float, data: str, parts: Sequence[str]
    ) -> float | None:
        record = self.records.get(cell_key(precision, batch, dropout, data)) or {}
        pairs = zip(done(record.get("lorascope")), done(record.get("limit")), strict=False)
        shares = [sum(limit["parts"][one] for one in parts) / ours["seconds"] for ours, limit in pairs]
        return median(shares) if shares else None

    def limit_per_s(self, precision: str, batch: int) -> float | None:
        """Examples per second that the limit allows in the headline's cell."""
        record = self.records.get(cell_key(precision, batch, 0.0)) or {}
        rates = [step["examples"] / step["seconds"] for step in done(record.get("limit"))]
        return median(rates) if rates else None

    def elsewhere(self, kind: str) -> Line | None:
        """A contender's line in the headline's cell at float32, where the headline is bf16's."""
        if self.precision == "float32":
            return None
        return self.of(self.cell("float32", self.batches[0], 0.0), kind)

    def best_of_trl(self, lines: Sequence[Line]) -> Line | None:
        """TRL's fastest way of a cell, in whatever order."""
        trl = [line for line in lines if line.kind.startswith("trl")]
        return max(trl, key=lambda line: line.examples_per_s, default=None)

    def of(self, lines: Sequence[Line], kind: str) -> Line | None:
        """A contender's line."""
        return next((line for line in lines if line.kind == kind), None)


def largest_gap(steps: Steps, plain: Steps) -> float | None:
    """Largest relative difference of a step's loss from that of a padded peer on the same examples."""
    gaps = [abs(a["loss"] / b["loss"] - 1) for a, b in zip(steps, plain, strict=False) if a is not b]
    return max(gaps, default=None)
