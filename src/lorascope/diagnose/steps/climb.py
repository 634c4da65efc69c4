"""How far the training loss ends above its best stretch. Shapes: P training points."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.steps.wander import difference_stderr, wander
from lorascope.metrics.quantiles import median


@dataclass(frozen=True, kw_only=True)
class Climb:
    """The end of a curve above its best stretch; the end itself is its best where there are too few points.

    Attributes:
        logs: Log losses of the training points, warmup included, [P].
        width: Points of a stretch, a tenth of them.
        start: Index of the first point behind the best stretch.
        step: Of the last point of the best stretch.
        best: Median of the best stretch.
        last: Median of the last one.
        peak: Median of the highest stretch.
    """

    logs: np.ndarray
    width: int
    start: int
    step: float
    best: float
    last: float
    peak: float

    @property
    def height(self) -> float:
        """ln(loss of the last stretch / loss of the best one)."""
        return self.last - self.best

    @cached_property
    def deviations(self) -> float:
        """The height in standard errors of a difference of two medians, of noise that may be correlated."""
        return self.height / max(difference_stderr(self.logs, self.width, self.width), 1e-9)

    @cached_property
    def spread(self) -> float:
        """Noise of one point, as of `wander`: sought where it decides, because it takes a while."""
        return max(wander(self.logs).spread, 1e-9)


def stretch_climb(evidence: Evidence) -> Climb:
    """How far the training loss ends above its best stretch, warmup included."""
    points = evidence.steps
    usable = np.isfinite(points.loss) & (points.loss > 0)
    logs, steps = np.log(points.loss[usable]), points.step[usable]
    width = max(3, len(logs) // 10)
    last = float(median(logs[-width:])) if len(logs) else 0.0
    starts = range(0, len(logs) - 2 * width + 1, max(1, width // 3))
    medians = [float(median(logs[one : one + width])) for one in starts]
    best = int(np.argmin(medians)) if medians else None
    start = len(logs) if best is None else starts[best] + width
    return Climb(
        logs=logs,
        width=width,
        start=start,
        step=math.nan if best is None else float(steps[start - 1]),
        best=last if best is None else medians[best],
        last=last,
        peak=max(medians, default=last),
    )
