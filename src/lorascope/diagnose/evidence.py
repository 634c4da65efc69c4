"""A run folder, as far as it got -> everything the rules look at. Reads files only; no model, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lorascope.diagnose.series import Series, make_series
from lorascope.errors import RunError, command, explain
from lorascope.run.folder import RunFolder, require
from lorascope.run.lineage import adapter_hash, trained_dataset
from lorascope.run.provenance import stage_record
from lorascope.run.records import EvalRecord, StepRecord, read_evals, read_json, read_steps

Json = dict[str, Any]
State = Literal["finished", "failed", "unfinished"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about a run.

    Attributes:
        run: Its folder as commands name it.
        state: "unfinished" is still going or interrupted; files alone cannot tell which.
        steps: One record per optimizer step.
        evals: One record per evaluation.
        failure: train/failure.json where training stopped there; None where it went on after it.
        summary: train/summary.json of a finished training.
        prepare: prepare/report.json.
        check: check/report.json.
        rescored: eval/adapter.json, if it is of the adapter that the run has now.
        trained_on: Hash of the dataset that a finished training used; None where it is not finished.
        config: config.json.
        adapters: The adapters on disk by name, "last" and "best", each with its step.
    """

    run: str
    state: State = "unfinished"
    steps: tuple[StepRecord, ...] = ()
    evals: tuple[EvalRecord, ...] = ()
    trained_on: str | None = None
    failure: Json | None = None
    summary: Json | None = None
    prepare: Json | None = None
    check: Json | None = None
    rescored: Json | None = None
    config: Json = field(default_factory=dict)
    adapters: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def validation(self) -> Series | None:
        """Validation losses over the evaluations; None where there is no validation split."""
        return make_series([(one.step, one.validation) for one in self.evals if one.validation is not None])

    @cached_property
    def probe(self) -> Series | None:
        """Train probe losses over the evaluations; None before the first."""
        return make_series([(one.step, one.probe) for one in self.evals])

    @property
    def last_step(self) -> int:
        """The last optimizer step that is known of."""
        return max([0, *(one.step for one in self.steps), *(one.step for one in self.evals)])

    @property
    def learning_rate(self) -> float | None:
        """The peak learning rate used so far; None before the first step."""
        return max((one.learning_rate for one in self.steps), default=None)

    @property
    def after_warmup(self) -> tuple[StepRecord, ...]:
        """The steps from the one that reached the peak learning rate on."""
        peak = self.learning_rate or 0.0
        first = next((i for i, one in enumerate(self.steps) if one.learning_rate >= 0.999 * peak), 0)
        return self.steps[first:]

    def retrain(self, *settings: str) -> str:
        """The command that trains again with other settings."""
        changes = [word for setting in settings for word in ("--set", setting)]
        return command("train", self.run, "--overwrite", *changes)


def read_evidence(run: RunFolder) -> Evidence:
    """Read a run as far as it got.

    Args:
        run: An existing run; its training may be going on, interrupted, failed or finished.

    Raises:
        RunError: Nothing has been trained, or a file is damaged.
    """
    require(run.stage("train"), stage="train", run=run)
    steps = tuple({one.step: one for one in read_steps(run.steps)}.values())
    evals = tuple({one.step: one for one in read_evals(run.evals)}.values())
    failure = _maybe(run.train_failure)
    if failure is not None and any(one.step >= failure["step"] and one.loss is not None for one in steps):
        failure = None  # a resumed training went past it
    if not steps and not evals and failure is None:
        raise RunError(
            explain(
                "there is nothing to diagnose yet: no step and no evaluation",
                where=str(run.stage("train")),
                why="training has not come to its first evaluation, or was stopped before it",
                fix=f"wait for it, or: lorascope train {run.path} --resume",
            )
        )
    summary = _maybe(run.train_summary)
    state: State = "failed" if failure is not None else "finished" if summary is not None else "unfinished"
    return Evidence(
        run=str(run.path),
        state=state,
        steps=steps,
        evals=evals,
        trained_on=trained_dataset(run),
        failure=failure,
        summary=summary,
        prepare=_maybe(run.prepare_report),
        check=_maybe(run.check_report),
        rescored=_rescored(run),
        config=read_json(run.config),
        adapters=_adapters(run, steps, evals, summary),
    )


def _maybe(path: Path) -> Json | None:
    return read_json(path) if path.is_file() else None


def _rescored(run: RunFolder) -> Json | None:
    """What eval measured, unless it was another adapter than the run's last."""
    measured = run.stage("eval") / "adapter.json"
    seen = stage_record(run, "eval").get("inputs", {}).get("adapter")
    if not run.adapter.is_dir() or not measured.is_file() or seen != adapter_hash(run.adapter):
        return None
    return read_json(measured)


def _adapters(
    run: RunFolder, steps: tuple[StepRecord, ...], evals: tuple[EvalRecord, ...], summary: Json | None
) -> dict[str, int]:
    """Steps of the adapters on disk."""
    found: dict[str, int] = {}
    if run.adapter.is_dir() and steps:
        found["last"] = summary["steps"] if summary else steps[-1].step
    if run.adapter_best.is_dir():
        best = summary["best_step"] if summary else None
        if best is None:
            scored = make_series(
                [(e.step, e.validation) for e in evals if e.validation is not None and e.step]
            )
            best = scored.steps[scored.best()] if scored else None
        if best is not None:
            found["best"] = best
    return found
