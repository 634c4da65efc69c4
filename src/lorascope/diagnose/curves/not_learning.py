"""A loss that does not fall, as logged."""

import math

import numpy as np

from lorascope.diagnose.curves.logged import MIN_EVALS, LoggedCurve, logged_curve
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.divergence import divergence
from lorascope.diagnose.steps.fall import LEAST_FALL, MIN_POINTS, Fall, fall, noise, raise_or_look
from lorascope.diagnose.steps.gates import need_points

RULE = "not_learning"
_TOO_NOISY = 2 * LEAST_FALL
_OPENING_DEVIATIONS = 2.0


def logged_not_learning(evidence: Evidence) -> Outcome:
    """Find a training that learns nothing, from the curve alone.

    Signal: the median loss of the last tenth of the points is less than 3 % below that of the first, or by no
        more than two such medians differ by chance; the very first loss does not stand out above the rest
        (then it fell at once, and is flat since); and no evaluation shows a fall.
    Gate: 20 training points after warmup, whose tenths differ by 6 % at most by chance.
    Advice: the learning rate where it is tiny, else the targets.

    Source:
        Rule R5 of docs/diagnose.md, the weak form.
    """
    missing = need_points(RULE, evidence, MIN_POINTS)
    if missing is not None:
        return missing
    curve, evaluated = fall(evidence.losses), logged_curve(evidence)
    if curve.share > max(LEAST_FALL, curve.by_chance):
        return None
    if curve.by_chance > _TOO_NOISY:
        reason = f"two tenths of these points differ by up to {curve.by_chance:.0%} by chance"
        return NotRun(rule=RULE, reason=reason)
    if (
        evaluated is not None
        and len(evaluated) > 1
        and -evaluated.rise(0, len(evaluated) - 1) > _shown(evaluated)
    ):
        return None
    if _fell_at_once(evidence, curve) or isinstance(divergence(evidence), Finding):
        return None  # what comes apart does not fall either: one cause is enough
    return Finding(
        rule=RULE,
        severity="warn",
        title="the training loss does not fall",
        evidence={
            "kind": "curve_only",
            "first_tenth_loss": curve.first,
            "last_tenth_loss": curve.last,
            "fall": curve.share,
            "by_chance": curve.by_chance,
            "learning_rate": evidence.learning_rate,
            "sentence": f"Median loss {curve.first:.4g} in the first tenth of {curve.num:,} points and "
            f"{curve.last:.4g} "
            f"in the last; by chance two such medians differ by up to {curve.by_chance:.1%}.",
        },
        how_sure="from the curve alone; a base that already knows the answers looks the same",
        action=raise_or_look(evidence),
        would_change="an evaluation loss that falls",
    )


def _shown(curve: LoggedCurve) -> float:
    """Fall of the evaluations that counts: 3 %, or less where their noise is known and smaller."""
    return min(LEAST_FALL, curve.visible()) if len(curve) >= MIN_EVALS else LEAST_FALL


def _fell_at_once(evidence: Evidence, curve: Fall) -> bool:
    """Whether the very first loss stands out above where the curve ended."""
    every = evidence.losses_with_warmup
    height = math.log(every[0] / curve.last)
    return height > max(LEAST_FALL, _OPENING_DEVIATIONS * noise(np.log(every)))
