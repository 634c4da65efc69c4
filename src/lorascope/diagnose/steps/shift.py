"""Where the training loss rises to another level. Shapes: M medians of neighbours, S places of a rise."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.steps.fall import median_difference_stderr, noise
from lorascope.diagnose.steps.local import medians_of_neighbours
from lorascope.metrics.quantiles import median

LEAST_WIDTH = 5
"""Points of the narrowest window: a median of five is moved by three of them, not by a spike or two."""

_MEDIANS = 200  # of which a curve is made, twice as many at most
_WIDER = 1.4
_OPENING = 3
_MAD_TO_SD = 1.4826  # of normal noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """A training curve, warmup included, joined to medians of neighbours where it is long.

    Attributes:
        step_M: The last step of each.
        log_M: Log losses.
        spread: Noise of one, as of `noise`.
    """

    step_M: np.ndarray
    log_M: np.ndarray
    spread: float

    def __len__(self) -> int:
        return len(self.log_M)

    @property
    def opening(self) -> float:
        """Loss at the beginning."""
        return float(np.exp(median(self.log_M[:_OPENING])))

    def near(self, step: float) -> float:
        """Median log loss of the five points around a step."""
        at = int(np.searchsorted(self.step_M, step))
        return float(median(self.log_M[max(0, at - LEAST_WIDTH // 2) : at + LEAST_WIDTH // 2 + 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifts:
    """The level before and behind every place of a curve, each a median of as many points.

    Attributes:
        width: Points of a window.
        at_S: Index of the first point behind each place.
        before_S: Median log loss of the window before it.
        after_S: That of the window behind it.
        last: That of the last window of the curve.
        stderr: Standard error of the difference of two windows of independent points.
        usual: Robust standard deviation of such a difference over the whole curve: more than `stderr` where
            neighbours stray together.
    """

    width: int
    at_S: np.ndarray
    before_S: np.ndarray
    after_S: np.ndarray
    last: float
    stderr: float
    usual: float

    @property
    def rise_S(self) -> np.ndarray:
        """ln(loss behind / loss before)."""
        return np.asarray(self.after_S - self.before_S)

    @property
    def deviations_S(self) -> np.ndarray:
        """The rise in standard errors."""
        return np.asarray(self.rise_S / self.stderr)


def levels_of(evidence: Evidence) -> Levels:
    """The training curve as levels: a point of a log of a million is the median of thousands."""
    points = evidence.steps
    usable = np.isfinite(points.loss) & (points.loss > 0)
    joined = medians_of_neighbours(points.step[usable], np.log(points.loss[usable]), _MEDIANS)
    return Levels(step_M=joined[:, 0], log_M=joined[:, 1], spread=max(noise(joined[:, 1]), 1e-9))


def shifts_of(levels: Levels) -> Iterator[Shifts]:
    """The shifts of a curve over windows of 5 points and wider, up to a quarter of it.

    A window lies before each place, one behind it, and one at least between that and the end.
    """
    width, num = LEAST_WIDTH, len(levels)
    while width <= num // 4:
        windows = np.lib.stride_tricks.sliding_window_view(levels.log_M, width)
        medians = median(windows)
        at = np.arange(width, num - 2 * width + 1)
        rise = medians[at] - medians[at - width]
        yield Shifts(
            width=width,
            at_S=at,
            before_S=medians[at - width],
            after_S=medians[at],
            last=float(medians[-1]),
            stderr=median_difference_stderr(levels.spread, width),
            usual=_MAD_TO_SD * float(median(np.abs(rise - median(rise)))),
        )
        width = int(np.ceil(_WIDER * width))
