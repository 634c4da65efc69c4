"""How far a curve of training losses fell, and how much of that is chance."""

import math
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.metrics.quantiles import median

MIN_POINTS = 20
"""Fewer training points than this allow no statement about a trend."""

LEAST_FALL = 0.03
"""Share that a training loss must fall by to count as learning."""

_LOW_RATE = 1e-5  # a tenth of the lowest rate that LoRA papers and tools start from
_MAD_TO_SD = 1.4826  # of normal noise
MEDIAN_TO_MEAN = 1.2533
"""Standard error of a median over that of a mean, of normal noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """The first tenth of a curve beside its last.

    Attributes:
        first: Median loss of the first tenth.
        last: Median loss of the last tenth.
        share: How far it fell, as a share of the first; below 0 where it rose.
        by_chance: Share that two such medians of a flat curve differ by in one case of twenty.
        num: Points of the whole curve.
    """

    first: float
    last: float
    share: float
    by_chance: float
    num: int


def fall(losses: np.ndarray) -> Fall:
    """Compare the ends of a curve.

    Args:
        losses: Positive and finite, in order, [P], P >= `MIN_POINTS`.
    """
    tenth = len(losses) // 10
    first, last = float(median(losses[:tenth])), float(median(losses[-tenth:]))
    chance = 2 * median_difference_stderr(noise(np.log(losses)), tenth)
    return Fall(first=first, last=last, share=1 - last / first, by_chance=chance, num=len(losses))


def median_difference_stderr(spread: float, num: int) -> float:
    """Standard error of the difference of two medians of `num` points each, of normal noise."""
    return MEDIAN_TO_MEAN * spread * math.sqrt(2 / num)


def noise(logs: np.ndarray) -> float:
    """Robust standard deviation of log losses around their trend, from successive differences.

        sigma = 1.4826 median|x[i + 1] - x[i]| / sqrt(2)

    A difference of two neighbours has sqrt(2) times the spread of one and no trend to speak of.

    Args:
        logs: Log losses in order, [P]; fewer than two have no noise.
    """
    if len(logs) < 2:
        return 0.0
    return _MAD_TO_SD * float(median(np.abs(np.diff(logs)))) / math.sqrt(2)


def raise_or_look(evidence: Evidence) -> str:
    """What to do about a loss that does not fall: a tiny learning rate explains it, else the data may."""
    rate = evidence.learning_rate
    if rate is not None and rate < _LOW_RATE:
        return f"raise the learning rate: {evidence.retrain(learning_rate=f'{max(10 * rate, 1e-4):.2g}')}"
    return f"look at what is trained on: {evidence.look_at_data()}"
