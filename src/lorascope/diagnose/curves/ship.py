"""Which checkpoint of another trainer to ship: the earliest on disk not shown to be worse than the best."""

import math
from typing import Any

from lorascope.diagnose.counts import counted
from lorascope.diagnose.curves.logged import MIN_EVALS, logged_curve
from lorascope.diagnose.curves.metric_disagrees import Disagreement, disagreement
from lorascope.diagnose.curves.overfitting import overfit_by_shape
from lorascope.diagnose.curves.setback import lost_at, without_leap
from lorascope.diagnose.evidence import Evidence

Json = dict[str, Any]


def logged_step_to_ship(evidence: Evidence) -> Json:
    """Choose among the evaluations of a log.

    An evaluation is tied with the best where it lies above it by less than 2.5 standard errors of a
    difference, with the noise of successive differences, and on the same side of a `setback`. Of the tied
    ones that are known to be on disk the earliest is chosen; where no checkpoint folder is beside the log,
    the earliest tied step is named and nothing is claimed to exist. The best where the evaluations count as
    overfitting by their shape.
    Where a task metric improved while the loss rose, its best step is named beside.

    Returns:
        As `step_to_ship` of a run of ours; "adapter" is the name of a checkpoint folder or None.
    """
    log = evidence.log
    if log is not None and (log.is_rl or log.is_negative):
        by = f"choose by {log.rewards[0]}" if log.is_rl else "choose by a metric of the task"
        return _choice(None, None, f"the loss is no likelihood, so it ranks no checkpoint; {by}")
    curve = logged_curve(evidence)
    if curve is not None and overfit_by_shape(evidence, curve):
        step, disagrees = int(curve.step_E[curve.best()]), disagreement(evidence, curve)
        name = next((name for name, at in sorted(evidence.adapters.items()) if at == step), None)
        lowest = "it has the lowest evaluation loss"
        missing = ""
        if name is None:
            lowest = f"the lowest evaluation loss is that of step {step:,}"
            missing = "; no checkpoint of it is beside the log"
        why = f"{lowest}, and each after it is above the one before{_other(disagrees)}{missing}"
        return _choice(name, step, why, [step], shown=name is not None)
    if curve is None or len(curve) < MIN_EVALS:
        told = _num_logged(evidence, 0 if curve is None else len(curve))
        return _choice(None, None, f"{told}, so no checkpoint is shown to be better than another")
    lost = lost_at(evidence)
    if lost is not None:
        curve = without_leap(curve)
    best, tie = curve.best(), curve.within_noise()
    tied = [
        int(step)
        for step, loss in zip(curve.step_E, curve.loss_E, strict=True)
        if _within(loss, curve.loss_E[best], tie)
        and (lost is None or (step < lost) == (curve.step_E[best] < lost))
    ]
    best_step = int(curve.step_E[best])
    other = _other(disagreement(evidence, curve))
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


def _other(disagrees: Disagreement | None) -> str:
    return f"; by {disagrees.name} it is step {disagrees.best_step:,}" if disagrees else ""


def _num_logged(evidence: Evidence, num: int) -> str:
    """How many evaluations there are to choose from, and how many more that are no number."""
    broken = int(evidence.log.evals.loss_not_finite.sum()) if evidence.log is not None else 0
    if not broken:
        return f"{counted(num, 'evaluation is', 'evaluations are')} logged"
    if num + broken == 1:
        return "1 evaluation is logged and its loss is not finite"
    finite = f"{num or 'none'} of them {'is' if num <= 1 else 'are'} finite"
    return f"{num + broken} evaluations are logged and {finite}"


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
