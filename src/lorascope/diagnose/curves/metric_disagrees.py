"""An evaluation loss that rises while what was really asked for improves. Shapes: M values of a metric."""

import math
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.curves.logged import (
    DEVIATIONS,
    VISIBLE,
    LoggedCurve,
    in_words,
    need_curve,
    successive_noise,
)
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.logs.names import higher_is_better

RULE = "metric_disagrees"
MIN_EVALS = 5
_LEAST_RISE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A metric that improved after the evaluation with the lowest loss.

    Attributes:
        name: Of the metric, as logged, without "eval_".
        before: Its value at the step with the lowest loss.
        last: Its value at the last evaluation.
        best: Its highest value.
        best_step: Step of the first evaluation that has it.
        noise: Standard deviation of one value around the trend of its neighbours, in the metric's own unit.
        num: Values of it.
    """

    name: str
    before: float
    last: float
    best: float
    best_step: int
    noise: float
    num: int

    @property
    def gain(self) -> float:
        """How far it improved since the lowest loss, in the metric's own unit."""
        return self.last - self.before

    @property
    def deviations(self) -> float:
        """The gain in standard errors of a difference of two values."""
        return self.gain / max(math.sqrt(2) * self.noise, 1e-12)


def metric_disagrees(evidence: Evidence) -> Outcome:
    """Find an evaluation loss that rose while a task metric improved.

    Signal: the evaluation loss ends 10 % above its best, and its last two evaluations lie above it beyond
        their noise, as of `overfitting`; the last two values of accuracy, F1, ROUGE, BLEU, exact match or
        another metric of which more is better lie above its value at the step of the lowest loss by 1 % and
        by 2.5 standard errors, each noise from the differences of its neighbours.
    Gate: 5 evaluations, 10 training points, 5 values of such a metric.
    Advice: choose the criterion before looking again, then the step that is best by it.

    Source:
        Rule R24 of docs/diagnose.md; ftdoctor 0.1.0 saw a run that was selected by accuracy end 37 % above
        its lowest loss. Loss punishes confidence in a wrong answer without bound, accuracy by one answer.
        Departure: a log holds one number per evaluation, so successive differences stand in for intervals.
    """
    curve = need_curve(RULE, evidence, MIN_EVALS)
    if isinstance(curve, NotRun):
        return curve
    nums = {name: len(steps) for name, (steps, _) in _task_metrics(evidence).items()}
    if max(nums.values(), default=0) < MIN_EVALS:
        told = ", ".join(f"{num} of {name}" for name, num in nums.items()) or "none"
        return NotRun(rule=RULE, reason=f"values of a task metric: {told}; {MIN_EVALS} are needed")
    found = disagreement(evidence, curve)
    return None if found is None else _finding(evidence, curve, found)


def disagreement(evidence: Evidence, curve: LoggedCurve) -> Disagreement | None:
    """The metric that most clearly improved while the loss rose; None where none did, or the loss did not.

    Args:
        evidence: Of a log.
        curve: Its evaluation losses, `MIN_EVALS` at least.
    """
    best = curve.best()
    if curve.loss_E[-1] < (1 + _LEAST_RISE) * curve.loss_E[best] or not curve.stays_above(best):
        return None
    found = [
        _improved(name, step_M, value_M, float(curve.step_E[best]))
        for name, (step_M, value_M) in _task_metrics(evidence).items()
    ]
    return max((one for one in found if one is not None), key=lambda one: one.deviations, default=None)


def winners(evidence: Evidence, curve: LoggedCurve, found: Disagreement) -> str:
    """Both winners in a sentence."""
    word, best = evidence.step_word, curve.best()
    return (
        f"By loss {word} {int(curve.step_E[best]):,} wins ({curve.loss_E[best]:.4g}), by {found.name} {word} "
        f"{found.best_step:,} ({found.best:.4g}; {found.before:.4g} at the lowest loss)."
    )


def choose_first(evidence: Evidence, curve: LoggedCurve, found: Disagreement) -> str:
    """What to do where loss and metric disagree."""
    word = evidence.step_word
    return (
        f"choose the criterion before looking again: by loss ship {word} "
        f"{int(curve.step_E[curve.best()]):,}, by {found.name} {word} {found.best_step:,}"
    )


def _task_metrics(evidence: Evidence) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Step and value of every finite value of each metric of which more is better, [M]."""
    if evidence.log is None:
        return {}
    evals = evidence.log.evals
    return {
        name: (evals.step[known], values[known])
        for name, values in evals.metrics.items()
        if higher_is_better(name) and (known := np.isfinite(values)).any()
    }


def _improved(name: str, step_M: np.ndarray, value_M: np.ndarray, since: float) -> Disagreement | None:
    """The metric's improvement since a step; None where it has none that its noise does not explain."""
    if len(value_M) < MIN_EVALS or step_M[0] > since:
        return None
    before = float(value_M[np.searchsorted(step_M, since, side="right") - 1])
    spread = successive_noise(value_M)
    visible = max(VISIBLE * abs(before), DEVIATIONS * math.sqrt(2) * spread)
    # Two in a row, both after the lowest loss: the last alone may have been lucky.
    if step_M[-2] <= since or float(value_M[-2:].min()) - before <= visible:
        return None
    best = int(np.argmax(value_M))
    return Disagreement(
        name=name,
        before=before,
        last=float(value_M[-1]),
        best=float(value_M[best]),
        best_step=int(step_M[best]),
        noise=spread,
        num=len(value_M),
    )


def _finding(evidence: Evidence, curve: LoggedCurve, found: Disagreement) -> Finding:
    low, high = float(curve.loss_E[curve.best()]), float(curve.loss_E[-1])
    return Finding(
        rule=RULE,
        severity="info",
        title=f"evaluation loss rose by {high / low - 1:.1%} while {found.name} improved from "
        f"{found.before:.4g} to {found.last:.4g}",
        evidence={
            "kind": "curve_only",
            "best_loss_step": int(curve.step_E[curve.best()]),
            "best_loss": low,
            "last_loss": high,
            "share": high / low - 1,
            "loss_noise": curve.noise,
            "metric": found.name,
            "metric_at_best_loss": found.before,
            "metric_last": found.last,
            "metric_best": found.best,
            "metric_best_step": found.best_step,
            "metric_noise": found.noise,
            "num_metric_values": found.num,
            "sentence": f"Evaluation loss {in_words(evidence, low)} at its best, "
            f"{in_words(evidence, high)} at the end; {found.name} {found.before:.4g} "
            f"and {found.last:.4g}. {winners(evidence, curve, found)}",
        },
        how_sure=f"both twice in a row beyond their noise, {curve.noise:.1%} of the "
        f"loss and {found.noise:.2g} of {found.name}; from the curves alone, so which rows were held out is "
        "not covered, and the best of many evaluations looks better than it is",
        action=choose_first(evidence, curve, found),
        would_change=f"rows that nobody has looked at yet, on which {found.name} does not improve",
    )
