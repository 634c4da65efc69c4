"""A loss that is still falling at the end of a log."""

import math

import numpy as np

from lorascope.diagnose.curves.logged import MIN_EVALS, LoggedCurve, logged_curve, need_curve
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.fall import MIN_POINTS
from lorascope.diagnose.steps.gates import need_points
from lorascope.diagnose.steps.staircase import staircase
from lorascope.diagnose.steps.wander import wander

RULE = "still_improving"
_GAIN, _ANNEALED_GAIN = 0.02, 0.05
_SLOW_GAIN, _FAR = 0.002, 0.5
_TRAIN_GAIN, _TRAIN_ANNEALED_GAIN = 0.05, 0.10
_STEADY, _RUNNING_OUT = (0.8, 1.5), 0.25
_MEMORISING_EPOCHS = 6.0
_LEAST_STEPS = 50
_Z95 = 1.645
_CREEP = 0.01


def logged_improving(evidence: Evidence) -> Outcome:
    """Find that more steps may pay, from the curve alone.

    Signal: the last evaluation is the best or within its noise, and over the last quarter of the steps the
        evaluation loss fell by 2 % and twice the noise (5 % where the learning rate has run out, because its
        end alone brings some), or by 0.2 % and the noise where less than half of the planned steps were made,
        or the last one is the best while the training loss fell by 5 % (never at a rate that has run out).
        Without evaluations: the training loss fell by 5 % over the last quarter (10 % where the learning rate
        has run out, or is not logged and the fall is not steady), shown by its slope over the last half
        against noise that may be correlated, within the first 6 epochs, and not in stairs. So too beside one
        evaluation, or two or three of which each is below the one before: too few to know their noise, and
        they are told.
    Gate: 4 evaluations, or 20 training points and 50 steps.
    Advice: more steps, and validation rows where there are none.

    Source:
        Rule R6 of docs/diagnose.md, the weak form.
    """
    curve = need_curve(RULE, evidence)
    if isinstance(curve, NotRun):
        return _by_training(evidence, curve)
    last = len(curve) - 1
    if curve.rise(curve.best(), last) > max(_CREEP, 2 * curve.noise if curve.best() > last - 3 else 0.0):
        return None
    gain, end = curve.late_gain(), float(curve.step_E[-1])
    annealed = evidence.annealed(0.9 * end)
    planned = evidence.log.facts.max_steps if evidence.log is not None else None
    far = planned is not None and evidence.last_step < _FAR * planned
    trained = train_gain(evidence) if curve.best() == last and not annealed else None
    by_itself = gain >= max(_ANNEALED_GAIN if annealed else _GAIN, 2 * curve.noise)
    by_itself = by_itself or (far and gain >= max(_SLOW_GAIN, curve.noise))
    if not by_itself and not _falls(trained, _TRAIN_GAIN):
        return None
    return _finding(evidence, curve, gain, trained, by_itself=by_itself)


def _falls(trained: tuple[float, float] | None, least: float) -> bool:
    return trained is not None and trained[0] >= least and trained[0] > _Z95 * trained[1]


def train_gain(evidence: Evidence) -> tuple[float, float] | None:
    """How far the training loss falls per quarter of the steps, with its standard error, both as shares.

    A line through the log losses of the last half; None below 20 points.
    """
    losses = evidence.losses
    if len(losses) < MIN_POINTS:
        return None
    half = np.log(losses[len(losses) // 2 :])
    slope, per_noise = _line(half)
    quarter = len(losses) / 4
    return 1 - math.exp(slope * quarter), max(wander(half).as_independent, 1e-9) * per_noise * quarter


def _line(logs: np.ndarray) -> tuple[float, float]:
    """Slope of the line through some points, and its standard error per noise of one."""
    place = np.arange(len(logs)) - (len(logs) - 1) / 2
    squares = float((place**2).sum())
    return float((place * logs).sum()) / squares, 1 / math.sqrt(squares)


def _is_steady(losses: np.ndarray) -> bool:
    """Whether the last quarter falls 0.8 to 1.5 times as fast as the middle half: no end of a schedule.

    What falls in proportion to a rate that runs out in a line falls in the last quarter a quarter as fast as
    in the middle, by a cosine a tenth: it must be shown to be faster than that, at 95 %. A rate that is held
    and then dropped makes it fall much faster.
    """
    logs, quarter = np.log(losses), len(losses) // 4
    middle, _ = _line(logs[quarter:-quarter])
    last, per_noise = _line(logs[-quarter:])
    least, most = _STEADY
    shown = _RUNNING_OUT * middle - last > _Z95 * per_noise * wander(logs).as_independent
    return middle < 0 and least <= last / middle <= most and shown


def _by_training(evidence: Evidence, missing: NotRun) -> Outcome:
    gate = need_points(RULE, evidence, MIN_POINTS)
    if gate is not None:
        return gate
    if evidence.last_step < _LEAST_STEPS and not (evidence.log and evidence.log.step_is_row):
        return NotRun(rule=RULE, reason=f"{evidence.last_step} steps, {_LEAST_STEPS} are needed")
    epoch = evidence.steps.epoch[np.isfinite(evidence.steps.epoch)]
    if len(epoch) and epoch[-1] > _MEMORISING_EPOCHS:
        return NotRun(
            rule=RULE, reason=f"{missing.reason}, and after {epoch[-1]:.0f} epochs rows are remembered"
        )
    curve = logged_curve(evidence)
    if curve is not None and (len(curve) >= MIN_EVALS or not curve.all_fall()):
        return missing
    if curve is None and isinstance(staircase(evidence), Finding):
        return NotRun(rule=RULE, reason="the training loss falls in stairs: by rows that come again")
    gain = train_gain(evidence)
    end = float(evidence.steps.step[-1])
    unknown = evidence.learning_rate is None and not _is_steady(evidence.losses)
    ending = unknown or evidence.annealed(0.9 * end)
    least = _TRAIN_ANNEALED_GAIN if ending else _TRAIN_GAIN
    if gain is None or not _falls(gain, least):
        return None
    return Finding(
        rule=RULE,
        severity="info",
        title=f"the training loss is still falling: {gain[0]:.0%} over the last quarter; {_evaluated(curve)}",
        evidence={
            "kind": "curve_only",
            "training_gain": gain[0],
            "training_gain_stderr": gain[1],
            "last_step": int(end),
            "sentence": f"A line through the last half falls by {gain[0]:.1%} per quarter of the steps "
            "(standard error "
            f"{gain[1]:.1%}).",
        },
        how_sure="shown for training rows only: whether it carries over to others, "
        + ("nobody measured" if curve is None else "too few evaluations say"),
        action="hold out validation rows and train longer"
        if curve is None
        else f"evaluate more often, {MIN_EVALS} times at least, and train longer while that falls",
        would_change="an evaluation loss that no longer falls",
    )


def _evaluated(curve: LoggedCurve | None) -> str:
    if curve is None:
        return "no evaluation was logged"
    if len(curve) == 1:
        return "the only evaluation shows no trend"
    return (
        f"evaluation fell from {curve.loss_E[0]:.4g} to {curve.loss_E[-1]:.4g} over {len(curve)} evaluations"
    )


def _finding(
    evidence: Evidence,
    curve: LoggedCurve,
    gain: float,
    trained: tuple[float, float] | None,
    *,
    by_itself: bool,
) -> Finding:
    word = evidence.step_word
    end = int(curve.step_E[-1])
    also = f"; the training loss fell by {trained[0]:.1%}" if trained is not None else ""
    planned = evidence.log.facts.max_steps if evidence.log is not None else None
    stopped = (
        f" {evidence.last_step:,} of {planned:,} planned steps were made."
        if evidence.state == "unfinished"
        else ""
    )
    return Finding(
        rule=RULE,
        severity="info",
        title=f"evaluation loss is still falling: {gain:.1%} over the last quarter"
        if by_itself or trained is None
        else f"the training loss is still falling: {trained[0]:.1%} over the last quarter, and evaluation "
        "ends at its best",
        evidence={
            "kind": "curve_only",
            "gain": gain,
            "noise": curve.noise,
            "training_gain": trained[0] if trained is not None else None,
            "last_step": end,
            "sentence": f"Over the last quarter of {end:,} {word}s evaluation moved by {-gain:+.1%}, with a "
            f"noise of {curve.noise:.1%}{also}.{stopped}",
        },
        how_sure="from the curve alone; that it would go on falling is likely, not shown",
        action="let it go on" if evidence.state == "unfinished" else "train longer, on a longer schedule",
        would_change="evaluations that stay within their noise",
    )
