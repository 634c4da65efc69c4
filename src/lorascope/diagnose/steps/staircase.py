"""A training loss that falls where epochs begin and nowhere else."""

import itertools
import math

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.fall import median_difference_stderr, noise
from lorascope.diagnose.steps.gates import need_points
from lorascope.diagnose.steps.wander import LEAST_IN_PART, wander_of_part
from lorascope.metrics.quantiles import median

RULE = "staircase"
_LEAST_POINTS = 30
_LEAST_BOUNDARIES = 2
_LEAST_IN_EPOCH = 5
_LEAST_DROP = 0.04
_MOST = 0.75
_TIMES, _DEVIATIONS = 3.0, 3.5


def staircase(evidence: Evidence) -> Outcome:
    """Find a fall in stairs.

    Signal: over the boundaries between epochs the log loss drops by at least 4 % each on average, 3 times as
        much as it falls inside the epochs behind the first; what half of that fall does not explain is 3.5
        times the standard error; most boundaries drop.
    Gate: 2 boundaries, 5 points in each epoch, epochs in the log.
    Advice: stop after the epoch whose validation loss is lowest: what falls at a boundary falls because the
        same rows come again.

    Source:
        Rule R12 of docs/diagnose.md; alpaca-lora #502. Heights are medians of up to a third of an epoch,
        their standard errors those of points that may be alike, see `wander`.
    """
    missing = need_points(RULE, evidence, _LEAST_POINTS)
    if missing is not None:
        return missing
    steps = evidence.steps
    usable = np.isfinite(steps.epoch) & np.isfinite(steps.loss) & (steps.loss > 0)
    logs, number = np.log(steps.loss[usable]), np.ceil(steps.epoch[usable] - 1e-6).astype(int)
    epochs = np.split(logs, np.flatnonzero(np.diff(number)) + 1)
    epochs = [one for one in epochs if len(one) >= _LEAST_IN_EPOCH]
    if len(epochs) <= _LEAST_BOUNDARIES:
        have = counted(max(0, len(epochs) - 1), "boundary", "boundaries")
        return NotRun(rule=RULE, reason=f"{have} between epochs of 5 points or more, 2 are needed")
    ends = [_ends(one) for one in epochs]
    drops = np.array([before[1] - after[0] for before, after in itertools.pairwise(ends)])
    inside = np.array([first - last for first, last in ends[1:]])
    least = max(_LEAST_DROP, _TIMES * float(inside.mean()))
    # A smooth fall drops by half as much between the thirds beside a boundary as between those of an epoch.
    excess = float(drops.mean()) - max(0.0, float(inside.mean())) / 2
    few = excess < _DEVIATIONS * _stderr(drops, epochs)
    if drops.mean() < least or few or (drops > 0).mean() < _MOST:
        return None
    return Finding(
        rule=RULE,
        severity="info",
        title=f"the training loss falls in stairs, {1 - np.exp(-drops.mean()):.0%} where an epoch begins",
        evidence={
            "num_boundaries": len(drops),
            "mean_drop": float(1 - np.exp(-drops.mean())),
            "mean_fall_inside": float(1 - np.exp(-inside.mean())),
            "sentence": f"Over {len(drops)} boundaries the loss drops by {1 - np.exp(-drops.mean()):.1%} on "
            "average, "
            f"inside the epochs behind the first by {1 - np.exp(-inside.mean()):.1%}.",
        },
        how_sure="medians of a third of each epoch; rows are remembered when they come again, and whether "
        "that "
        "helps others only a validation set can say",
        action="ship the epoch with the lowest validation loss"
        if evidence.is_evaluated
        else "hold out validation rows, which say after how many epochs to stop",
        would_change="a loss that falls inside the epochs",
    )


def _stderr(drops: np.ndarray, epochs: list[np.ndarray]) -> float:
    """Standard error of the mean drop: from the drops, and not below their noise, correlated or not."""
    seen = float(drops.std(ddof=1)) / math.sqrt(len(drops))
    third = max(2, min(len(one) for one in epochs) // 3)
    white = median_difference_stderr(noise(np.concatenate(epochs)), third * len(drops))
    if min(len(one) for one in epochs) < LEAST_IN_PART:
        return max(seen, white)
    inside = float(median([wander_of_part(one).stderr(third) for one in epochs]))
    return max(seen, white, inside * math.sqrt(2 / len(drops)))


def _ends(epoch: np.ndarray) -> tuple[float, float]:
    """Heights of the first and of the last third of an epoch."""
    third = max(2, len(epoch) // 3)
    return float(median(epoch[:third])), float(median(epoch[-third:]))
