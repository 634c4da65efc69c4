"""Training losses whose noise is correlated from point to point -> how far their medians stray by chance.

Shapes: P points.
"""

import math
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.steps.fall import MEDIAN_TO_MEAN, noise
from lorascope.metrics.quantiles import median

LEAST_IN_PART = 20
"""Points below which a stretch tells nothing of how its neighbours are alike."""

_PARTS = 3
_MOST = 0.98  # a correlation nearer to 1 cannot be told from a trend
_FITTED, _LOST = 3, 5  # numbers that a parabola has; of the bias (3 + 5 rho) / P of a correlation around it
_LEAST_LEFT = 0.25  # of a variance: where a trend takes more with it, nothing could be told
_BLOCKS, _BLOCKS_IN_MEDIAN = 100, 8
_EDGE = 3
_MAD_TO_SD = 1.4826  # of normal noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Wander:
    """The noise of a curve of log losses around its trend, as a process whose neighbours are alike.

    Attributes:
        spread: Standard deviation of one point around the trend, freed of what the trend takes with it.
        seen: The same as it is seen, at most `spread`.
        correlation: Between neighbours, in [0, 0.98].
    """

    spread: float
    seen: float
    correlation: float

    def stderr(self, num: float) -> float:
        """Standard error of the median of `num` neighbours.

            1.2533 spread sqrt((1 + 2 sum over k < num of (1 - k / num) correlation^k) / num)

        Of independent points it is 1.2533 spread / sqrt(num). At a correlation of 0.8 a hundred points are
        worth 12 independent ones, at 0.95 three and a half.
        """
        return MEDIAN_TO_MEAN * self.spread * math.sqrt(_alike(num, self.correlation) / num)

    @property
    def as_independent(self) -> float:
        """Spread of independent points whose mean or slope would be as unsure, of many points.

        spread sqrt((1 + correlation) / (1 - correlation))
        """
        return self.spread * math.sqrt((1 + self.correlation) / (1 - self.correlation))


def wander(logs: np.ndarray) -> Wander:
    """How the points of a curve stray together, from the middle one of its three thirds.

        rho = 1 - (sigma of the differences of neighbours / sigma around the trend)^2

    Logged losses are often means over steps or smoothed, and then neighbours hold the same steps. The trend
    of a third is a parabola or one leap, whichever leaves less: what a training that comes apart leaps by is
    no noise. Correlation and spread are freed of what the trend takes with it. Below 60 points nothing is
    known of rho, and it is 0.

    Args:
        logs: Log losses in order, [P].

    Source:
        von Neumann's ratio of the mean square successive difference to the variance (Annals of Mathematical
        Statistics 12, 1941), of robust deviations. The bias is that of Kendall and of Marriott and Pope
        (Biometrika 41, 1954) with one number more in the trend. The noise is taken for autoregressive of
        order one: of a moving mean the ratio is then sooner too large than too small.
    """
    white = noise(logs)
    if len(logs) < _PARTS * LEAST_IN_PART:
        return Wander(spread=white, seen=white, correlation=0.0)
    parts = [wander_of_part(one) for one in np.array_split(logs, _PARTS)]
    middle = sorted(parts, key=lambda one: one.as_independent)[_PARTS // 2]
    spread, seen = max(white, middle.spread), max(white, middle.seen)
    return Wander(spread=spread, seen=seen, correlation=middle.correlation)


def difference_stderr(logs: np.ndarray, num: int, other: int) -> float:
    """Standard error of the difference of two medians of a curve, far from each other.

    The larger of what the points and what means of neighbours, a hundred blocks or more, make of it: white
    noise hides from the points what strays slowly beneath it. But at most the spread of one point as it is
    seen: a correlation near 1 is not known well, and however alike neighbours are, a curve that is trendless
    does not come to lie six times its spread away from itself.

    Args:
        logs: Log losses of the whole curve, [P].
        num: Points that one median is of.
        other: Points of the other.
    """
    width = min(len(logs) // _BLOCKS, num // _BLOCKS_IN_MEDIAN, other // _BLOCKS_IN_MEDIAN)
    found = []
    for block in {1, max(1, width)}:
        whole = logs[len(logs) % block :].reshape(-1, block).mean(axis=1)
        noise_of = wander(whole)
        found.append(math.hypot(noise_of.stderr(num / block), noise_of.stderr(other / block)))
    return min(max(found), wander(logs).seen)


def wander_of_part(logs: np.ndarray) -> Wander:
    """The same of one stretch of a curve, of 8 points at least, that has one trend or one leap."""
    spread = max(min(_spread(_around_parabola(logs)), _spread(_around_levels(logs))), 1e-9)
    num, rho = len(logs), 1 - (noise(logs) / spread) ** 2
    rho = min(max((num * rho + _FITTED) / (num - _LOST), 0.0), _MOST)
    left = max(1 - _FITTED * _alike(num, rho) / num, _LEAST_LEFT)
    return Wander(spread=spread / math.sqrt(left), seen=spread, correlation=rho)


def _alike(num: float, correlation: float) -> float:
    """Variance of the mean of so many neighbours, in that of as many independent points.

    1 + 2 sum over k < num of (1 - k / num) correlation^k, in closed form.
    """
    apart = 1 - correlation
    ends: float = 2 * correlation * (1 - correlation**num) / (num * apart**2)
    return (1 + correlation) / apart - ends


def _spread(residual: np.ndarray) -> float:
    return _MAD_TO_SD * float(median(np.abs(residual - median(residual))))


def _around_parabola(logs: np.ndarray) -> np.ndarray:
    place = np.linspace(-1.0, 1.0, len(logs))
    bend = place**2 - float((place**2).mean())
    left = logs - logs.mean()
    for one in (place, bend):  # at right angles, so that each can be taken away by itself
        left = left - one * (float(one @ left) / float(one @ one))
    return np.asarray(left)


def _around_levels(logs: np.ndarray) -> np.ndarray:
    """What is left where the points before and behind one place have a mean each, that leaves least."""
    num, before = len(logs), np.arange(1, len(logs))
    sums = np.cumsum(logs)
    apart = sums[:-1] / before - (sums[-1] - sums[:-1]) / (num - before)
    gain = apart**2 * before * (num - before) / num
    at = _EDGE + int(np.argmax(gain[_EDGE - 1 : num - _EDGE]))
    return np.concatenate([logs[:at] - logs[:at].mean(), logs[at:] - logs[at:].mean()])
