"""A training loss that climbs and does not come back."""

import math

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, Outcome, Severity
from lorascope.diagnose.steps.climb import stretch_climb
from lorascope.diagnose.steps.gates import need_points
from lorascope.diagnose.steps.wander import difference_stderr, wander_of_part
from lorascope.metrics.quantiles import median

RULE = "diverging"
_RECENT, _BEFORE, _TAIL = 32, 64, 8
_MAD_TO_SD = 1.4826  # of normal noise
_LEAST_POINTS = 10
_ABOVE_OPENING, _ABOVE_BEST = 1.3, 1.5
_DEVIATIONS = 6.0
_STILL_ABOVE, _STILL_DEVIATIONS = 1.1, 2.0


def divergence(evidence: Evidence) -> Outcome:
    """Find a training that comes apart, in the losses of its steps.

    Signal, either of two. (a) The median log loss of the newest 32 steps lies more than 3 robust standard
        deviations above that of the 64 before, and so does that of the newest 8: it is not recovering; and
        by 6 standard errors. (b) The median of the last tenth lies 1.3 times and 6 deviations above the first
        loss, or 1.5 times and 6 standard errors above the best stretch of that length, or 1.1 times and 2
        deviations above the first loss after a stretch that was 1.5 times and 6 deviations above it: a
        training that leapt up at once and has not come back to where it began. Neighbours may be alike:
        smoothed losses stray together, and their standard errors are larger by that.
    Gate: (a) 96 steps after warmup; (b) 10 steps.
    Advice: a third of the learning rate.

    Source:
        Rule R9 of docs/diagnose.md. Log losses and medians, because batch losses are skewed: z > 3 on
        raw losses fires 11 to 40 times in 1,000 healthy steps. (b) is ours, for logs of few points and for
        runs that came apart early and stayed there. Standard errors are those of `wander`.
    """
    missing = need_points(RULE, evidence, _LEAST_POINTS)
    if missing is not None:
        return missing
    if len(evidence.losses) >= _RECENT + _BEFORE and (found := _lately(evidence, np.log(evidence.losses))):
        return found
    # With warmup: a rate that is too high often shows before its peak.
    return _never_back(evidence)


def _lately(evidence: Evidence, logs: np.ndarray) -> Finding | None:
    before, recent = logs[-_RECENT - _BEFORE : -_RECENT], logs[-_RECENT:]
    centre = float(median(before))
    spread = max(_MAD_TO_SD * float(median(np.abs(before - centre))), 1e-9)
    height = (float(median(recent)) - centre) / spread
    if height <= 3 or (float(median(recent[-_TAIL:])) - centre) / spread <= 3:
        return None
    nearby = wander_of_part(before)
    nearby_stderr = min(math.hypot(nearby.stderr(_RECENT), nearby.stderr(_BEFORE)), nearby.seen)
    if height * spread <= _DEVIATIONS * max(difference_stderr(logs, _RECENT, _BEFORE), nearby_stderr):
        return None
    points = "steps" if evidence.log is None else "points"
    low, high = math.exp(centre), math.exp(float(median(recent)))
    return diverging_finding(
        evidence,
        f"the training loss climbed from {low:.3f} to {high:.3f}",
        {
            "before": low,
            "recent": high,
            "robust_deviations": height,
            "sentence": f"Median loss {low:.3f} over {_BEFORE} {points}, then {high:.3f} over the newest "
            f"{_RECENT}: {height:.1f} robust standard deviations up, and not coming back.",
        },
        f"medians of 64 and 32 {points}; a median of 32 strays by 0.2 deviations by chance, this is more "
        "than 3",
    )


def _never_back(evidence: Evidence) -> Finding | None:
    climb = stretch_climb(evidence)
    opening = float(climb.logs[0])
    rise = climb.last - opening
    by_opening = rise > math.log(_ABOVE_OPENING) and rise > _DEVIATIONS * climb.spread
    by_stretch = climb.height > math.log(_ABOVE_BEST) and climb.deviations > _DEVIATIONS
    by_peak = rise > max(
        math.log(_STILL_ABOVE), _STILL_DEVIATIONS * climb.spread
    ) and climb.peak - opening > max(math.log(_ABOVE_BEST), _DEVIATIONS * climb.spread)
    if not by_opening and not by_stretch and not by_peak:
        return None
    first, last = math.exp(min(opening, climb.best)), math.exp(climb.last)
    return diverging_finding(
        evidence,
        f"the training loss rose from {first:.3f} to {last:.3f} and never came back",
        {
            "opening": math.exp(opening),
            "best_stretch": math.exp(climb.best),
            "recent": last,
            "noise": climb.spread,
            "sentence": f"It began at {math.exp(opening):.3f}; its best {climb.width:,} points in a row have "
            f"a median of {math.exp(climb.best):.3f}, the last {climb.width:,} one of {last:.3f}.",
        },
        f"{_DEVIATIONS:.0f} deviations of the noise ({climb.spread:.1%} of the loss), which neighbours may "
        "share; examples ordered by difficulty or length look the same",
    )


def diverging_finding(
    evidence: Evidence,
    title: str,
    numbers: dict[str, object],
    how_sure: str,
    severity: Severity = "critical",
) -> Finding:
    """The finding that a training comes apart."""
    return Finding(
        rule=RULE,
        severity=severity,
        title=title,
        evidence=numbers,
        how_sure=how_sure,
        action=f"lower the learning rate: {evidence.slower()}",
        would_change="a loss that comes back to where it was",
    )
