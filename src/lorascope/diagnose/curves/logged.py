"""Evaluation losses as logged -> what can be said about their changes. Shapes: E evaluations."""

import math
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import NotRun
from lorascope.diagnose.steps.fall import noise
from lorascope.diagnose.steps.gates import need_likelihood
from lorascope.metrics.in_words import like_choosing
from lorascope.metrics.quantiles import median

MIN_EVALS = 4
"""Second differences of fewer evaluations are no measure of noise."""

MIN_POINTS = 10
"""Fewer training points than this are too short a training to read."""

DEVIATIONS = 2.5
"""Standard errors that a change between two values of a logged curve must have."""

ABOVE_DEVIATIONS, _STAYING_DEVIATIONS, _STEADY_DEVIATIONS = 4.3, 2.9, 20.0
"""Of a rise that stays, see `LoggedCurve.stays_above`.

More than 2, because the best of many is low by chance and the noise of few is itself uncertain: flat curves
of 5 to 20 evaluations with a noise of 1 to 10 % pass any of the three in 0.8 to 2.0 % of simulations.
"""

_MEANS = math.sqrt(1 / 2 + 1 / 3)  # standard error of a mean of two less one of three, in noises
_MAD_TO_SD = 1.4826  # of normal noise
_NOISY_PART, _LEAST_DIFFERENCES = 2 / 3, 4
VISIBLE = 0.01
"""The least change of a logged curve that is spoken of, as a share."""

_LATE = 0.75
HIGHEST_NATS = 15.0
"""3 million equally likely tokens: no vocabulary is that large, so a higher loss is no nats per token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCurve:
    """A curve of evaluation losses.

    Attributes:
        step_E: Of each evaluation with a finite loss above 0.
        loss_E: As logged.
        noise: Standard deviation of one evaluation around the trend of its neighbours, as a share of it; of
            the flatter part, see `successive_noise`.
    """

    step_E: np.ndarray
    loss_E: np.ndarray
    noise: float

    def __len__(self) -> int:
        return len(self.step_E)

    def best(self) -> int:
        """Index of the first evaluation with the lowest loss."""
        return int(np.argmin(self.loss_E))

    def rise(self, start: int, end: int) -> float:
        """ln(loss at `end` / loss at `start`): near the relative change where it is small."""
        return math.log(self.loss_E[end] / self.loss_E[start])

    def visible(self) -> float:
        """The least change between two evaluations that noise does not explain, at least 1 %."""
        return max(VISIBLE, self.within_noise())

    def within_noise(self) -> float:
        """The largest change between two evaluations that noise explains: 2.5 standard errors."""
        return DEVIATIONS * math.sqrt(2) * self.noise

    def stays_above(self, index: int) -> bool:
        """Whether the last two evaluations, both after this one, lie visibly above it.

        Both by 1 %; and one of three. Their mean lies 4.3 standard errors above that of this one and its two
        neighbours, because a minimum alone is low by chance. Or the last three lie 2.9 standard errors above
        this one, with a noise that one leap does not widen: a curve that leapt and stayed there. Or each
        after this one, three at least, lies above the one before, and the last by 20 times
        their own noise: a sharp turn is no noise.
        """
        last = len(self) - 1
        if index >= last - 1 or min(self.rise(index, last), self.rise(index, last - 1)) <= VISIBLE:
            return False
        logs, first = np.log(self.loss_E), max(0, min(index - 1, last - 2))
        height = float(logs[-2:].mean() - logs[first : first + 3].mean())
        if height > ABOVE_DEVIATIONS * _MEANS * self.noise:
            return True
        if index > last - 3:
            return False
        staying = float(logs[-3:].min() - logs[index])
        if staying > _STAYING_DEVIATIONS * math.sqrt(2) * robust_noise(logs):
            return True
        return self.all_rise(index) and self.rise(index, last) > _STEADY_DEVIATIONS * _bends(logs[index:])

    def visible_rise(self) -> float:
        """The least rise that is seen where it stays, at least 1 %."""
        return max(VISIBLE, ABOVE_DEVIATIONS * _MEANS * self.noise)

    def late_gain(self) -> float:
        """How far the loss fell over the last quarter of the steps, as a share; below 0 where it rose."""
        before = float(np.interp(_LATE * self.step_E[-1], self.step_E, self.loss_E))
        return 1 - float(self.loss_E[-1]) / before

    def all_rise(self, start: int) -> bool:
        """Whether each evaluation after this one is above the one before."""
        return bool((np.diff(self.loss_E[start:]) > 0).all())

    def all_fall(self, end: int | None = None) -> bool:
        """Whether each evaluation, up to this one, is below the one before: by chance once in E! curves."""
        return bool((np.diff(self.loss_E[: None if end is None else end + 1]) < 0).all())


def logged_curve(evidence: Evidence) -> LoggedCurve | None:
    """The evaluation losses of a log; None where it has none that is finite and above 0."""
    if evidence.log is None:
        return None
    evals = evidence.log.evals
    usable = np.isfinite(evals.loss) & (evals.loss > 0)
    if not usable.any():
        return None
    loss = evals.loss[usable]
    return LoggedCurve(step_E=evals.step[usable], loss_E=loss, noise=successive_noise(np.log(loss)))


def successive_noise(logs: np.ndarray) -> float:
    """Standard deviation of log losses around the line through their neighbours, where the curve is flatter.

        sigma = sqrt(mean (x[i] - 2 x[i + 1] + x[i + 2])^2 / 6)

    Second differences, because first ones of a few evaluations are mostly trend; of the last two thirds and
    four at least, because those across a steep start hold its bend: of a fall by exp(-8 t) over ten
    evaluations their median makes a noise of 0.4 % one of 0.8 %. Squares, not their median, which of a dozen
    differences strays by a third and is too small as often as too large.

    Args:
        logs: Log losses in order, [E]; fewer than three have no noise that could be told.
    """
    if len(logs) < 3:
        return math.inf
    return _bends(logs[-max(_LEAST_DIFFERENCES, round(_NOISY_PART * (len(logs) - 2))) - 2 :])


def _bends(logs: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.diff(logs, 2) ** 2)) / 6)


def robust_noise(logs: np.ndarray) -> float:
    """The same where one leap must not count: the larger of the medians of first and second differences.

        sigma = 1.4826 max(median|x[i + 1] - x[i]| / sqrt(2), median|x[i] - 2 x[i + 1] + x[i + 2]| / sqrt(6))

    Either alone is too small by half in one flat curve of twenty; both at once seldom.

    Args:
        logs: Log losses in order, [E], three at least.
    """
    return max(noise(logs), trendless_noise(logs))


def trendless_noise(logs: np.ndarray) -> float:
    """The same by second differences alone, which neither a fall nor one leap widens.

    Args:
        logs: Log losses in order, [E]; fewer than three have no noise that could be told.
    """
    if len(logs) < 3:
        return math.inf
    return _MAD_TO_SD * float(median(np.abs(np.diff(logs, 2)))) / math.sqrt(6)


def need_curve(
    rule: str, evidence: Evidence, least: int = MIN_EVALS, points: int = MIN_POINTS
) -> NotRun | LoggedCurve:
    """Insist on a training long enough to read, and on enough evaluations.

    Args:
        rule: Name of the rule that asks.
        evidence: Of a log.
        least: Evaluations that are needed.
        points: Training points that are needed.

    Returns:
        The curve, or why the rule cannot be run.
    """
    refused = need_likelihood(rule, evidence)
    if refused is not None:
        return refused
    curve = logged_curve(evidence)
    if curve is None:
        broken = int(evidence.log.evals.loss_not_finite.sum()) if evidence.log is not None else 0
        reason = (
            f"none of {broken:,} evaluation losses is a number" if broken else "no evaluation loss is logged"
        )
        return NotRun(rule=rule, reason=reason)
    if len(curve) < least:
        have = counted(len(curve), "evaluation is", "evaluations are")
        return NotRun(rule=rule, reason=f"{have} logged, {least} are needed")
    if len(evidence.losses) < points:
        reason = f"{len(evidence.losses)} training losses are logged, {points} are needed"
        return NotRun(rule=rule, reason=reason)
    return curve


def train_loss_near(evidence: Evidence, step: float, width: float) -> float | None:
    """Median of the training losses logged in the `width` steps up to a step; None where there is none."""
    steps = evidence.steps
    inside = (steps.step <= step) & (steps.step > step - width) & np.isfinite(steps.loss)
    return float(median(steps.loss[inside])) if inside.any() else None


def train_change(evidence: Evidence, curve: LoggedCurve, start: int, end: int) -> float | None:
    """Relative change of the training loss between two evaluations, each as a median of what led up to it.

    Before an evaluation that nothing led up to, the base model's, stands what followed it.
    """
    width = float(median(np.diff(curve.step_E))) if len(curve) > 1 else math.inf
    opening = float(curve.step_E[start])
    before = train_loss_near(evidence, opening, width)
    if before is None:
        before = train_loss_near(evidence, opening + width, width)
    after = train_loss_near(evidence, float(curve.step_E[end]), width)
    return after / before - 1 if before and after is not None else None


def is_of_tokens(evidence: Evidence, loss: float) -> bool:
    """Whether a loss of a log may be nats per token, so that its perplexity means something.

    That of preference training is not: it is the likelihood of a choice between two answers, ln 2 at first.
    """
    return loss < HIGHEST_NATS and not (evidence.log is not None and evidence.log.is_preference)


def in_words(evidence: Evidence, loss: float) -> str:
    """A loss with its perplexity in words; alone where it is none of tokens."""
    return f"{loss:.4g} ({like_choosing(loss)})" if is_of_tokens(evidence, loss) else f"{loss:.4g}"


def measure(what: str, evidence: Evidence) -> str:
    """Advice to measure more than a curve shows; of preferences not the likelihood of tokens.

    Args:
        what: How it begins, as in "measure it exactly".
        evidence: Of a log.
    """
    if evidence.log is not None and evidence.log.is_preference:
        return (
            f"{what}: count on held-out pairs how often the chosen answer has the higher reward "
            "(rewards/accuracies), and read answers of both models side by side"
        )
    return f"{what}: lorascope eval --base MODEL --adapter ADAPTER --data VALIDATION"
