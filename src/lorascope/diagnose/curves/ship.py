"""Which checkpoint of another trainer to ship: the earliest on disk not shown to be worse than the best."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lorascope.diagnose.curves.logged import MIN_EVALS, logged_curve, trendless_noise
from lorascope.diagnose.curves.metric_disagrees import disagreement
from lorascope.diagnose.curves.overfitting import few_overfit
from lorascope.diagnose.curves.setback import logged_setback
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding

Json = dict[str, Any]


def logged_step_to_ship(evidence: Evidence) -> Json:
    """Choose among the evaluations of a log.

    An evaluation is tied with the best where it lies above it by less than 2.5 standard errors of a
    difference, with the noise of successive differences, and on the same side of a `setback`. Of the tied
    ones that are known to be on disk the earliest is chosen; where no checkpoint folder is beside the log,
    the earliest tied step is named and nothing is claimed to exist. Of few evaluations the best where they
    count as overfitting.
    Where a task metric improved while the loss rose, its best step is named beside.

    Returns:
        As `step_to_ship` of a run of ours; "adapter" is the name of a checkpoint folder or None.
    """
    log = evidence.log
    if log is not None and (log.is_rl or log.is_negative):
        by = f"choose by {log.rewards[0]}" if log.is_rl else "choose by a metric of the task"
        return _choice(None, None, f"the loss is no likelihood, so it ranks no checkpoint; {by}")
    curve = logged_curve(evidence)
    if curve is not None and len(curve) < MIN_EVALS and few_overfit(evidence, curve):
        step = int(curve.step_E[curve.best()])
        name = next((name for name, at in sorted(evidence.adapters.items()) if at == step), None)
        why = f"each evaluation after that of step {step:,} is above the one before"
        return _choice(name, step, why, [step], shown=name is not None)
    if curve is None or len(curve) < MIN_EVALS:
        num = 0 if curve is None else len(curve)
        return _choice(
            None,
            None,
            f"{num} evaluation{'s are' if num != 1 else ' is'} logged, so no checkpoint is shown to be "
            "better than another",
        )
    lost_at = _lost_at(evidence)
    if lost_at is not None:  # that leap is no noise
        curve = replace(curve, noise=min(curve.noise, trendless_noise(np.log(curve.loss_E))))
    best, tie = curve.best(), curve.within_noise()
    tied = [
        int(step)
        for step, loss in zip(curve.step_E, curve.loss_E, strict=True)
        if _within(loss, curve.loss_E[best], tie)
        and (lost_at is None or (step < lost_at) == (curve.step_E[best] < lost_at))
    ]
    best_step = int(curve.step_E[best])
    disagrees = disagreement(evidence, curve)
    other = f"; by {disagrees.name} it is step {disagrees.best_step:,}" if disagrees else ""
    on_disk = sorted((step, name) for name, step in evidence.adapters.items() if step in tied)
    if on_disk:
        step, name = on_disk[0]
        why = (
            "it has the lowest evaluation loss"
            if step == best_step
            else f"it is the earliest not shown to be worse than the best, step {best_step:,}"
        )
        return _choice(name, step, why + other, tied, shown=True)
    earliest = f"; step {tied[0]:,} is the earliest not shown to be worse" if tied[0] != best_step else ""
    why = (
        f"the lowest evaluation loss is that of step {best_step:,}{earliest}; no checkpoint of a tied step "
        "is beside the log"
    )
    return _choice(None, tied[0], why + other, tied)


def _lost_at(evidence: Evidence) -> int | None:
    """The step at which the training lost what it had learnt; None where it did not."""
    found = logged_setback(evidence)
    return int(found.evidence["step"]) if isinstance(found, Finding) else None


def _within(loss: float, best: float, tie: float) -> bool:
    return math.log(loss / best) <= tie


def _choice(
    adapter: str | None, step: int | None, why: str, tied: list[int] | None = None, *, shown: bool = False
) -> Json:
    return {
        "adapter": adapter,
        "step": step,
        "shown": shown,
        "why": why,
        "tied_steps": tied or [],
        "cost": None,
    }
