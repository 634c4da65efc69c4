"""Training losses that leap, and whether the gradient leaps with them."""

from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.steps.divergence import divergence
from lorascope.diagnose.steps.gates import need_points
from lorascope.diagnose.steps.local import lower_bounds, medians_at, pooled, spreads_at
from lorascope.metrics.quantiles import median

RULE = "spikes"
_WINDOW, _LEAST_WINDOW = 64, 24
_DEVIATIONS, _TIMES = 6.0, 1.8
_SKIPPED_SHARE, _SKIPPED_MOST = 0.05, 5
_MANY = 3
_STAYS_UP, _LONG = 8, 5
_PERIODIC_LEAST, _PERIODIC_CV, _AT_BOUNDARIES = 4, 0.15, 0.75
_LEAST_GAP = 1.5  # of the distance between two logged points: neighbours have no rhythm but the log's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Spikes:
    """Where a curve leaps.

    Attributes:
        at: Index of each spike among the training points.
        times: Loss there over the median of the points before.
        with_gradient: Whether the gradient norm leapt too.
        num_points: For how many neighbouring points it stayed up.
    """

    at: np.ndarray
    times: np.ndarray
    with_gradient: np.ndarray
    num_points: np.ndarray


def find_spikes(loss: np.ndarray, grad_norm: np.ndarray) -> Spikes:
    """Find the points that leap out of the 64 before them; of a quarter of short logs, 24 at least.

        x = ln(loss)    z = (x - median of the past 64) / (1.4826 MAD around their trend)
        spike: z > 6, 1.8 times the median

    Neighbours between which the loss did not come back by half are one spike, at the first of them: a loss
    that leaps and stays up for a while does so once.

    Args:
        loss: Of each training point, NaN where there is none, [P].
        grad_norm: [P].

    Source:
        Section 2.5 of docs/diagnose.md: on raw losses with skewed noise z > 3 fires 11 to 40 times in 1,000
        healthy steps; on log losses with a median absolute deviation z > 6 does not in 3,200.
    """
    where = np.flatnonzero(np.isfinite(loss) & (loss > 0))
    where = where[min(_SKIPPED_MOST, int(_SKIPPED_SHARE * len(where))) :]
    width = min(_WINDOW, max(_LEAST_WINDOW, len(where) // 4))
    logs = np.log(loss[where])
    at = (
        np.flatnonzero(logs - lower_bounds(logs, width) > np.log(_TIMES)) if len(where) > width else where[:0]
    )
    at = at[at >= width]
    at = at[_leaps(logs, at, width)]
    if not len(at):
        none = np.empty(0, dtype=int)
        return Spikes(at=none, times=np.empty(0), with_gradient=none.astype(bool), num_points=none)
    height, coupled = _heights(logs, at, width), _leaps_too(grad_norm[where], at, width)
    first = _first_of_each(logs, at, height)
    return Spikes(
        at=where[at[first]],
        times=np.exp(np.maximum.reduceat(height, first)),
        with_gradient=np.logical_or.reduceat(coupled, first),
        num_points=at[np.append(first[1:], len(at)) - 1] - at[first] + 1,
    )


def _first_of_each(logs: np.ndarray, at: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Index, among the points that leap, of those behind which the loss had come back by half."""
    first: list[int] = []
    for index in range(len(at)):
        if first and at[index] - at[index - 1] <= _STAYS_UP:
            halfway = logs[at[first[-1]]] - height[first[-1]] / 2
            if (logs[at[index - 1] : at[index]] > halfway).all():
                continue
        first.append(index)
    return np.array(first, dtype=int)


def _leaps_too(norm: np.ndarray, at: np.ndarray, width: int) -> np.ndarray:
    known = np.isfinite(norm) & (norm > 0)
    if not len(at) or known.mean() < 0.5:
        return np.zeros(len(at), dtype=bool)
    return _leaps(np.log(np.where(known, norm, median(norm[known]))), at, width)


def _leaps(logs: np.ndarray, at: np.ndarray, width: int) -> np.ndarray:
    """Whether each of some points leaps out of the window before it, by deviations and by size."""
    height = _heights(logs, at, width)
    leapt = np.asarray(height > np.log(_TIMES))
    leapt[leapt] = height[leapt] > _DEVIATIONS * spreads_at(logs, at[leapt], -width, -1)
    return leapt


def _heights(logs: np.ndarray, at: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(logs[at] - medians_at(logs, at, -width, -1))


def spikes(evidence: Evidence) -> Outcome:
    """Find leaps of the training loss, and tell an artefact of their rhythm from instability.

    Signal: a loss more than 6 robust deviations and 1.8 times above the median of the 64 before (a
        quarter of logs below 256 points), the deviations around the trend of those; a loss that stays up for
        some points leaps once. Info; warn from the third on, and where the gradient norm leaps with one.
        Leaps at equal distances (coefficient of variation <= 0.15) or three quarters of them where an epoch
        begins are told as rhythm; leaps of neighbouring points are none, nor those of a training that comes
        apart.
    Gate: 65 points.
    Advice: the batches of these steps; for a rhythm, what the trainer does at that distance.

    Source:
        Rules R10 and R11 of docs/diagnose.md.
    """
    missing = need_points(RULE, evidence, _WINDOW + 1)
    if missing is not None:
        return missing
    found = find_spikes(evidence.steps.loss, evidence.steps.grad_norm)
    if not len(found.at):
        return None
    rhythm = _rhythm(found.at, evidence)
    coupled = int(found.with_gradient.sum())
    severity: Severity = "warn" if (len(found.at) >= _MANY or coupled) and rhythm is None else "info"
    steps = evidence.steps.step[found.at]
    worst = int(np.argmax(found.times))
    told = ", ".join(f"{int(one):,}" for one in steps[:5]) + (" ..." if len(steps) > 5 else "")
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"the training loss leapt {len(steps):,} time{'s' if len(steps) > 1 else ''}"
        + (f", {rhythm}" if rhythm else f", to {found.times[worst]:.1f} times its level at the most"),
        evidence={
            "num_spikes": len(steps),
            "num_with_gradient": coupled,
            "steps": [int(one) for one in steps[:50]],
            "largest_times": float(found.times[worst]),
            "largest_step": int(steps[worst]),
            "rhythm": rhythm,
            "longest_points": int(found.num_points.max()),
            "sentence": f"Steps {told}; the gradient norm leapt in {coupled:,} of them."
            + _stayed(evidence, found),
        },
        how_sure="6 robust deviations above the 64 points before; a batch of hard or mislabelled rows does "
        "this as "
        "well as a rate that is too high"
        if not coupled
        else "the gradient leapt too: the update was large",
        action=_action(evidence, int(steps[worst]), coupled, rhythm),
        would_change="the same steps without a leap under another order of the examples",
    )


def _stayed(evidence: Evidence, found: Spikes) -> str:
    """Where the loss stayed up for a while: a shift of its level rather than a leap."""
    longest = int(np.argmax(found.num_points))
    if found.num_points[longest] < _LONG:
        return ""
    step = int(evidence.steps.step[found.at[longest]])
    return f" From step {step:,} on it stayed up for {counted(int(found.num_points[longest]), 'point')}."


def _rhythm(at: np.ndarray, evidence: Evidence) -> str | None:
    if len(at) < _PERIODIC_LEAST:
        return None
    gaps, logged = np.diff(evidence.steps.step[at]), float(median(np.diff(evidence.steps.step)))
    if gaps.mean() < _LEAST_GAP * logged or isinstance(divergence(evidence), Finding):
        return None
    if gaps.std() <= _PERIODIC_CV * gaps.mean():
        return f"every {gaps.mean():.0f} steps"
    epoch = evidence.steps.epoch
    number = np.ceil(epoch - 1e-6)  # the last step of an epoch has its whole number
    begins = number[at] > number[np.maximum(at - 1, 0)]
    if np.isfinite(epoch[at]).all() and begins.mean() >= _AT_BOUNDARIES:
        return "where epochs begin"
    return None


def _action(evidence: Evidence, step: int, coupled: int, rhythm: str | None) -> str:
    if rhythm:
        return f"look at what the trainer does {rhythm}; a lower learning rate would not help"
    if coupled:
        return f"clip the gradient or lower the learning rate: {evidence.slower(2)}"
    return f"look at the examples of step {step:,}"


UNSTABLE = "unstable"
_EXCESS_TIMES = 1.6
_EXCESS_SHARE = 0.15
_EXCESS_OF_OPENING = 0.03
_LEAST = 40
_OPENING = 3
_LOCAL = 33
_ENOUGH_TOKENS = 64


def unstable(evidence: Evidence) -> Outcome:
    """Find a training whose loss leaps all the time.

    Signal: at least 15 % of the sum of the losses, past the opening third, lies above 1.6 times the local
        median (of 33 points), and what lies there is 3 % of the opening third's median per point: once rows
        are remembered and the loss is near 0, any row leaps over its neighbours. Where the target tokens of
        each step are known, neighbouring steps of fewer than 64 are one point: a few answers leap by chance.
    Gate: 40 points.
    Advice: larger batches, then a lower learning rate.

    Source:
        Ours. A robust deviation hides such a curve, because leaps widen it; the share of the loss does not.
        Of 80 public logs two that people call spiky have 29 and 50 %, all others at most 3.2 %.
    """
    missing = need_points(UNSTABLE, evidence, _LEAST)
    if missing is not None:
        return missing
    loss = _points_of_enough_tokens(evidence)
    if len(loss) < _LEAST:
        reason = f"{counted(len(loss), 'point')} of {_ENOUGH_TOKENS} target tokens, {_LEAST} are needed"
        return NotRun(rule=UNSTABLE, reason=reason)
    start = len(loss) // _OPENING
    excess = _excess(loss, min(_LOCAL, (len(loss) // 4) | 1))[start:]
    share, count = float(excess.sum() / loss[start:].sum()), float((excess > 0).mean())
    if share < _EXCESS_SHARE or excess.mean() < _EXCESS_OF_OPENING * float(median(loss[:start])):
        return None
    return Finding(
        rule=UNSTABLE,
        severity="warn",
        title=f"the training loss leaps all the time: {share:.0%} of it lies in leaps",
        evidence={
            "excess_share": share,
            "share_of_points": count,
            "num_points": len(loss),
            "sentence": f"{count:.0%} of the points lie above 1.6 times the median of their neighbours, and "
            "hold "
            f"{share:.0%} of the sum of the losses.",
        },
        how_sure="counted; single examples as batches do this on their own, without anything being wrong",
        action="average more examples in a step (a larger batch size); if it goes on: " + evidence.slower(2),
        would_change="a curve of larger batches that keeps within 1.6 times its median",
    )


def _points_of_enough_tokens(evidence: Evidence) -> np.ndarray:
    """The losses behind warmup, of our runs so that each is the mean of enough target tokens."""
    if evidence.log is not None:
        return evidence.losses
    points, start = evidence.steps, evidence.warmed_up
    loss, tokens = points.loss[start:], np.diff(points.num_tokens, prepend=0.0)[start:]
    usable = np.isfinite(loss) & (loss > 0) & (tokens > 0)
    return pooled(loss[usable], tokens[usable], _ENOUGH_TOKENS) if usable.any() else evidence.losses


def _excess(loss: np.ndarray, width: int) -> np.ndarray:
    """What of each loss lies above 1.6 times the median of the points around it, [P]."""
    excess = np.zeros(len(loss))
    at = np.flatnonzero(loss > _EXCESS_TIMES * lower_bounds(loss, width))
    centre = medians_at(loss, at, -(width // 2), width // 2)
    excess[at] = np.maximum(0.0, loss[at] - _EXCESS_TIMES * centre)
    return excess
