"""A training that may be going on -> what somebody who watches it wants to see, read anew each time."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.diagnose.curves.logged import logged_curve
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.open_log import open_log
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.run_evidence import read_evidence
from lorascope.diagnose.stamp import Stamp, stamp_of
from lorascope.diagnose.steps.local import medians_of_neighbours
from lorascope.errors import NothingLogged, parts
from lorascope.metrics.quantiles import median
from lorascope.run.folder import RunFolder, is_run

_LATELY, _FEW = 20, 10  # steps
_MOST_POINTS = 300  # of the training curve: single steps would fill the drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One evaluation, as a row of the table.

    Attributes:
        step: Optimizer steps done.
        probe: Loss of the train probe, or of the training points before it in another trainer's log.
        validation: Loss of validation; None where nothing is held out.
    """

    step: int
    probe: float | None
    validation: float | None


_NOTHING = Stamp(files=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What is known at one moment.

    Attributes:
        name: The path as the command names it.
        state: As of `Evidence`; "waiting" before the first step. Where no process trains the run any more
            that was not at its end: "interrupted", and "not_begun" where it came to no step.
        step: Of the newest record.
        num_steps: Planned; None where the log does not say.
        epoch: Of the newest record.
        loss: Of the newest training point that has one.
        verdict: As of `diagnose`.
        reason: Its sentence; of a log that is waited for, what is in it instead of a step.
        health: Score, None where unknown.
        target_tokens_per_s: Over the newest steps; None where they tell no target tokens or no seconds.
        usual_tokens_per_s: Median over all steps before; None where these are few: the first are slow.
        seconds_left: Of training, evaluations included at their share so far; None where nobody trains.
        of_run: Whether it is a run of ours, whose train probe is scored as validation is.
        of_tokens: Whether its losses are those of tokens, so that their perplexity means something.
        moments: Every evaluation.
        train: Step and loss of the training points, neighbours joined where there are many, [points, 2].
        problems: What was noteworthy about reading a run of ours.
        stamp: Of the files as they were just before they were read.
    """

    name: str
    state: str
    step: int = 0
    num_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    verdict: str = "not_enough_evidence"
    reason: str = ""
    health: int | None = None
    target_tokens_per_s: float | None = None
    usual_tokens_per_s: float | None = None
    seconds_left: float | None = None
    of_run: bool = True
    of_tokens: bool = True
    moments: tuple[Moment, ...] = ()
    train: np.ndarray
    problems: tuple[str, ...] = ()
    stamp: Stamp = _NOTHING


_NO_TRAIN = np.empty((0, 2))


def glimpse(path: Path, columns: Mapping[str, str] | None = None, before: Glimpse | None = None) -> Glimpse:
    """Look at a run or a log as it is now.

    Args:
        path: Of a run folder, or of a log that may be written to.
        columns: As in `open_log`.
        before: What was seen last; given back as it is where nothing was written since.

    Raises:
        RunError: There is neither, or it is damaged; a run or a log that holds nothing yet is "waiting".
    """
    stamp = stamp_of(path)
    if before is not None and before.stamp == stamp:
        return before
    seen = _look(path, columns)
    if stamp.goes_on is False and seen.state == "waiting":
        seen = dataclasses.replace(seen, state="not_begun")
    if stamp.goes_on is False and seen.state == "unfinished":
        seen = dataclasses.replace(
            seen,
            state="interrupted",
            target_tokens_per_s=None,
            usual_tokens_per_s=None,
            seconds_left=None,
        )
    return dataclasses.replace(seen, stamp=stamp)


def _look(path: Path, columns: Mapping[str, str] | None) -> Glimpse:
    if is_run(path):
        run = RunFolder(path)
        if _begun(run):
            with contextlib.suppress(NothingLogged):  # a line is being written, or a failure is history
                return _of_run(run)
        return _waiting(path)
    try:
        return _of_log(path, columns)
    except NothingLogged as error:
        return _waiting(path, parts(error.message)["problem"])


def _waiting(path: Path, reason: str = "") -> Glimpse:
    return Glimpse(name=str(path), state="waiting", reason=reason, train=_NO_TRAIN)


def _begun(run: RunFolder) -> bool:
    return any(one.is_file() and one.stat().st_size for one in (run.steps, run.evals, run.train_failure))


def _of_run(run: RunFolder) -> Glimpse:
    evidence = read_evidence(run)
    evaluating_s = sum(record.seconds for record in evidence.evals) / max(1, evidence.last_step)
    num_steps = _planned(evidence)
    series = evidence.validation
    moments = tuple(
        Moment(
            step=record.step,
            probe=evidence.probe.loss(index) if evidence.probe is not None else None,
            validation=series.loss(index) if series is not None and index < len(series) else None,
        )
        for index, record in enumerate(evidence.evals)
    )
    return _told(evidence, moments, num_steps, **_speed(_tail(run.steps), evidence, num_steps, evaluating_s))


def _of_log(path: Path, columns: Mapping[str, str] | None) -> Glimpse:
    evidence = log_evidence(open_log(path, columns), str(path))
    assert evidence.log is not None, "made from a log"
    curve = logged_curve(evidence)
    steps = evidence.steps
    moments = []
    if curve is not None:
        for step, loss in zip(curve.step_E, curve.loss_E, strict=True):
            near = np.searchsorted(steps.step, step, side="right") - 1
            probe = float(steps.loss[near]) if near >= 0 and math.isfinite(steps.loss[near]) else None
            moments.append(Moment(step=int(step), probe=probe, validation=float(loss)))
    num_steps, tail = evidence.log.facts.max_steps, _tail(evidence.log.path)
    evaluated = [one["eval_runtime"] for one in tail if isinstance(one.get("eval_runtime"), int | float)]
    evaluating_s = sum(evaluated) / max(1, sum("seconds" in one for one in tail))
    return _told(evidence, tuple(moments), num_steps, **_speed(tail, evidence, num_steps, evaluating_s))


def _told(evidence: Evidence, moments: tuple[Moment, ...], num_steps: int | None, **speed: Any) -> Glimpse:
    report, log = diagnose(evidence), evidence.log
    steps = evidence.steps
    known = np.flatnonzero(np.isfinite(steps.loss))
    epochs = steps.epoch[np.isfinite(steps.epoch)]
    return Glimpse(
        name=evidence.run,
        state=evidence.state,
        step=evidence.last_step,
        num_steps=num_steps,
        epoch=float(epochs[-1]) if len(epochs) else None,
        loss=float(steps.loss[known[-1]]) if len(known) else None,
        verdict=report["verdict"],
        reason=report["verdict_reason"],
        health=report["health"]["score"],
        of_run=log is None,
        of_tokens=log is None or not (log.is_preference or log.is_rl or log.is_negative),
        moments=moments,
        problems=evidence.problems,
        train=medians_of_neighbours(steps.step[known], steps.loss[known], _MOST_POINTS),
        **speed,
    )


def _speed(
    tail: list[dict[str, Any]], evidence: Evidence, num_steps: int | None, evaluating_s: float
) -> dict[str, float | None]:
    """Speed and time left, where steps tell their target tokens and seconds.

    Args:
        tail: The newest lines of a log.
        evidence: Of all of it.
        num_steps: Planned.
        evaluating_s: What evaluations took for each step.
    """
    told = [(one.get("target_tokens"), one.get("seconds")) for one in tail]
    known = [pair for pair in told if all(isinstance(one, int | float) for one in pair)]
    if not known:
        return {}
    speeds = np.array(known, dtype=np.float64)  # target tokens and seconds, [steps, 2]
    recent, before = speeds[-_LATELY:], speeds[:-_LATELY]
    usual = float(median(before[:, 0] / np.maximum(before[:, 1], 1e-9))) if len(before) >= _FEW else None
    left = None
    if num_steps is not None and evidence.state == "unfinished":
        left = (num_steps - evidence.last_step) * (float(median(speeds[:, 1])) + evaluating_s)
    return {
        "target_tokens_per_s": float(recent[:, 0].sum() / max(recent[:, 1].sum(), 1e-9)) or None,
        "usual_tokens_per_s": usual or None,
        "seconds_left": left,
    }


def _tail(path: Path) -> list[dict[str, Any]]:
    """The newest lines of a log that are JSON objects; none of a folder, a pipe or a log of another form."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().splitlines()
    told = []
    for line in lines:  # the first may be torn
        with contextlib.suppress(ValueError, RecursionError):
            told.append(json.loads(line))
    return [one for one in told if isinstance(one, dict)]


_TAIL_BYTES = 1 << 17  # some 600 steps


def _planned(evidence: Evidence) -> int | None:
    """Optimizer steps of the whole training, from the epochs asked for and those done."""
    if evidence.summary is not None:
        return int(evidence.summary["steps"])
    epochs = (evidence.config.get("train") or {}).get("epochs")
    done = evidence.steps.epoch[-1:] if len(evidence.steps) else np.empty(0)
    if not epochs or not len(done) or not done[0] > 0:
        return None
    return round(float(evidence.steps.step[-1]) * float(epochs) / float(done[0]))


def is_over(seen: Glimpse) -> bool:
    """Whether nothing more will come."""
    return seen.state in ("finished", "failed", "interrupted", "not_begun")


def may_be_resumed(seen: Glimpse) -> bool:
    """Whether nobody trains a run that is not finished, so that a resume may be starting beside the look."""
    return seen.stamp.goes_on is False and seen.state in ("failed", "interrupted", "not_begun")
