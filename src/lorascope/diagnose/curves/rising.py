"""A training loss that rises slowly, with the evaluation loss or alone. Shapes: P training points."""

import math

import numpy as np

from lorascope.diagnose.curves.logged import (
    VISIBLE,
    LoggedCurve,
    in_words,
    logged_curve,
    need_curve,
    train_change,
)
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.steps.climb import Climb, stretch_climb
from lorascope.diagnose.steps.divergence import RULE, divergence, diverging_finding
from lorascope.diagnose.steps.gates import need_likelihood
from lorascope.metrics.quantiles import median

MIN_EVALS = 5
_LEAST, _CRITICAL = 0.03, 0.10
_DEVIATIONS = 2.5
_CLIMB_POINTS = 40
_CLIMB, _CLIMB_DEVIATIONS = 0.15, 6.0
_PARTS = 4
_ONE_JUMP = 0.6
_LEAST_SHARE = 0.25
_LATE_PART, _DENYING_EVALS = 10, 4


def logged_divergence(evidence: Evidence) -> Outcome:
    """Find a training that comes apart, in the logged losses, unless an evaluation at their end denies it.

    Signal: as of `divergence`. Denied where the last evaluation stands within the last tenth of the training
        points, lies below the first by 3 % and beyond its noise, and is the best or within its noise: what
        got harder are the examples, as in a curriculum, not the model worse.
    Gate: as of `divergence`; 4 evaluations to deny.
    Advice: a third of the learning rate.

    Source:
        Rule R9 of docs/diagnose.md; the denial is ours.
    """
    found, curve = divergence(evidence), logged_curve(evidence)
    if not isinstance(found, Finding) or curve is None or len(curve) < _DENYING_EVALS:
        return found
    last, tie = len(curve) - 1, max(VISIBLE, curve.within_noise())
    late = float(evidence.steps.step[-max(1, len(evidence.steps) // _LATE_PART)])
    best = curve.rise(curve.best(), last) <= tie and -curve.rise(0, last) > max(math.log1p(_LEAST), tie)
    return None if best and float(curve.step_E[last]) >= late else found


def logged_both_rise(evidence: Evidence) -> Outcome:
    """Find a training that comes apart slowly: evaluation and training loss both rise.

    Signal: the last two evaluations lie above the best by 3 % and beyond their noise, as of `overfitting`;
        over the same steps the training loss rose too, and its last tenth lies above its best stretch of that
        length by 3 % and 2.5 standard errors. Warn, critical above 10 % of the evaluation loss.
    Gate: 5 evaluations, 10 training points.
    Advice: a third of the learning rate.

    Source:
        Ours, between `overfitting`, which needs a falling training loss, and the rule on the training loss
        alone, which needs 1.5 times its best: two curves that agree need less each. Of flat curves of
        both, with training noise correlated at up to 0.95, 2 of 1,800 pass.
    """
    curve = need_curve(RULE, evidence, MIN_EVALS)
    if isinstance(curve, NotRun):
        return curve
    best, last = curve.best(), len(curve) - 1
    if not both_rise(evidence, curve):
        return None
    low, high = float(curve.loss_E[best]), float(curve.loss_E[last])
    word, since, climb = evidence.step_word, int(curve.step_E[best]), stretch_climb(evidence)
    trained = train_change(evidence, curve, best, last) or 0.0
    severity: Severity = "critical" if high / low - 1 > _CRITICAL else "warn"
    return diverging_finding(
        evidence,
        f"evaluation and training loss both rise since {word} {since:,}: evaluation is {high / low - 1:.1%} "
        "above its best",
        {
            "kind": "curve_only",
            "best_step": since,
            "best_loss": low,
            "last_loss": high,
            "share": high / low - 1,
            "noise": curve.noise,
            "training_change": trained,
            "training_above_best": math.exp(climb.height) - 1,
            "sentence": f"Evaluation {in_words(evidence, low)} at {word} {since:,}, "
            f"{in_words(evidence, high)} at {word} "
            f"{int(curve.step_E[last]):,}; over the same {word}s the training loss moved by {trained:+.0%}, "
            f"and its end lies {math.exp(climb.height) - 1:.0%} above its best stretch.",
        },
        f"evaluation twice in a row beyond its noise of {curve.noise:.1%}, training "
        f"{climb.deviations:.0f} standard errors above its best stretch; from the curves alone",
        severity,
    )


def both_rise(evidence: Evidence, curve: LoggedCurve) -> bool:
    """Whether both losses are shown to have risen since the best evaluation, by 3 % at least.

    Args:
        evidence: Of a log.
        curve: Its evaluation losses.
    """
    best, last = curve.best(), len(curve) - 1
    if not curve.stays_above(best) or curve.loss_E[last] < (1 + _LEAST) * curve.loss_E[best]:
        return False
    trained, climb = train_change(evidence, curve, best, last), stretch_climb(evidence)
    return bool(
        trained is not None
        and trained > 0
        and climb.height > math.log1p(_LEAST)
        and climb.deviations > _DEVIATIONS
    )


def logged_climb(evidence: Evidence) -> Outcome:
    """Find a training loss that climbs steadily, where no evaluation says otherwise.

    Signal: the last tenth of the training points lies 15 % and 6 standard errors above the best stretch of
        that length; the climb makes up a quarter of the points at least; each quarter of it lies above the
        one before, and none brings more than 0.6 of it: a single jump is where other examples begin. Nothing
        is said where evaluations do not rise, nor where a graver finding tells of the same climb.
    Gate: 40 points.
    Advice: a third of the learning rate; examples in a random order.

    Source:
        Ours. Examples ordered by length or difficulty do the same, hence a warning and no more: "shown" is
        false.
    """
    refused = need_likelihood(RULE, evidence)
    if refused is not None:
        return refused
    if len(evidence.losses) < _CLIMB_POINTS:
        reason = f"{len(evidence.losses)} training losses are logged, {_CLIMB_POINTS} are needed"
        return NotRun(rule=RULE, reason=reason)
    judged = need_curve(RULE, evidence, 2)
    if isinstance(judged, LoggedCurve) and (
        judged.rise(judged.best(), len(judged) - 1) <= judged.visible() or both_rise(evidence, judged)
    ):
        return None
    climb = stretch_climb(evidence)
    high = climb.height > math.log1p(_CLIMB) and climb.deviations > _CLIMB_DEVIATIONS
    if not high or not _steady(climb) or isinstance(divergence(evidence), Finding):
        return None
    share, step = math.exp(climb.height) - 1, int(climb.step)
    return diverging_finding(
        evidence,
        f"the training loss climbs since {evidence.step_word} {step:,}: it ends {share:.0%} above its best "
        "stretch",
        {
            "kind": "curve_only",
            "shown": False,
            "best_step": step,
            "above_best": share,
            "deviations": climb.deviations,
            "sentence": f"Its best {climb.width:,} points in a row end at {evidence.step_word} {step:,}; "
            f"each quarter of what follows lies above the one before, and the last {climb.width:,} points "
            f"lie {share:.0%} above.",
        },
        f"{climb.deviations:.0f} standard errors; examples ordered by difficulty or length look the same, "
        "and no evaluation says which it is",
        "warn",
    )


def _steady(climb: Climb) -> bool:
    behind = climb.logs[climb.start :]
    if len(behind) < _LEAST_SHARE * len(climb.logs):
        return False
    best = climb.logs[climb.start - climb.width : climb.start]
    heights = [float(median(one)) for one in (best, *np.array_split(behind, _PARTS))]
    rises = np.diff(heights)
    return bool((rises > 0).all() and rises.max() <= _ONE_JUMP * rises.sum())
