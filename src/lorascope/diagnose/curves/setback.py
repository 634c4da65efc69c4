"""A logged training that lost on the way what it had learnt, and began again. Shapes: S places of a rise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lorascope.diagnose.curves.logged import LoggedCurve, logged_curve, trendless_noise
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, Outcome
from lorascope.diagnose.rows.setback import RULE
from lorascope.diagnose.steps.divergence import divergence
from lorascope.diagnose.steps.gates import need_points
from lorascope.diagnose.steps.shift import Levels, Shifts, levels_of, shifts_of
from lorascope.diagnose.steps.spikes import unstable
from lorascope.metrics.quantiles import median

_LEAST_POINTS = 30
_LEAST_RISE, _LEAST_SHARE, _LEAST_GAINED = 0.25, 0.20, 0.25
_FALLS_AGAIN = 0.40
_DEVIATIONS, _TIMES_USUAL = 5.0, 4.0
_DEVIATIONS_CONFIRMED, _NOISES_CONFIRMED = 2.5, 4.0
_SIMILAR, _SIMILAR_DEVIATIONS = 0.5, 3.5
_DENIED = 0.25
_MOST_OTHERS, _SHARE_OF_SEVERAL, _NEAR = 2, 0.4, 3
_RATE_ROSE, _SHARE_AT_A_RAISED_RATE = 1.25, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setback:
    """A rise that gives back what was gained, with the windows that show it.

    Attributes:
        index: Of the first point behind the rise.
        width: Points of each window.
        before: Median loss before.
        after: Median loss behind.
        last: Median loss at the end.
        share: Of what had been gained since the opening, in nats.
        deviations: The rise of the log loss in standard errors.
        evals: Index of the evaluation before and of the highest behind it, where such stand close by.
        confirmed: Whether these show the same.
        others: Steps at which the loss rose likewise.
    """

    index: int
    width: int
    before: float
    after: float
    last: float
    share: float
    deviations: float
    evals: tuple[int, int] | None = None
    confirmed: bool = False
    others: tuple[int, ...] = ()


def logged_setback(evidence: Evidence) -> Outcome:
    """Find a training loss that jumped back towards its opening, stayed there for a while and fell again.

    Signal: medians of 5 and more neighbouring points behind a place lie 25 % above those before it, at least
        20 % of what had been gained since the opening is given back, and 40 % of the rise is made good by the
        end: one that stays is `diverging`. Shown, either of two: (a) by 5 standard errors and by 4 times what
        such medians usually differ by in this curve, while no second rise elsewhere is half as high, because
        examples that come in blocks rise again and again; or two such others are there, 40 % of the gain is
        lost, the learning rate falls across each, and not all are where an epoch begins. Nor does the loss
        leap all the time (`unstable`); evaluations while it is up that did not rise by a quarter of it deny
        it. (b) By 2.5 standard errors where evaluation jumped there likewise and beyond 4 times its noise.
        Where the learning rate was raised, a warm restart say, the loss rises with it: then half must be
        given back.
    Gate: 30 points.
    Advice: what happened at that step.

    Source:
        Ours: the weak form of `setback` on our runs, where the train probe is measured. How small a setback
        is seen, and how often healthy curves seem to have one, docs/diagnose.md tells.
    """
    missing = need_points(RULE, evidence, _LEAST_POINTS)
    if missing is not None:
        return missing
    levels, curve = levels_of(evidence), logged_curve(evidence)
    found = _confirmed(levels, curve) or _by_training_alone(evidence, levels, curve)
    if found is None or isinstance(divergence(evidence), Finding):
        return None
    if not found.confirmed and isinstance(unstable(evidence), Finding):
        return None
    raised = _rate_rose(evidence, levels, found)
    if raised and found.share < _SHARE_AT_A_RAISED_RATE:
        return None
    return _finding(evidence, levels, curve, found, raised)


def lost_at(evidence: Evidence) -> int | None:
    """The step at which a logged training lost what it had learnt; None where it did not."""
    found = logged_setback(evidence)
    return int(found.evidence["step"]) if isinstance(found, Finding) else None


def without_leap(curve: LoggedCurve) -> LoggedCurve:
    """The same curve, its noise told without the leap of a setback, which is none."""
    return replace(curve, noise=min(curve.noise, trendless_noise(np.log(curve.loss_E))))


def _confirmed(levels: Levels, curve: LoggedCurve | None) -> _Setback | None:
    """The clearest rise between two evaluations that show the same."""
    if curve is None:
        return None
    found = []
    for index in _setbacks_of(curve, levels.opening):
        between = (float(curve.step_E[index - 1]), float(curve.step_E[index]))
        for shifts in shifts_of(levels):
            step_S = levels.step_M[shifts.at_S]
            chosen = _gives_back(shifts, levels.opening) & (step_S > between[0]) & (step_S <= between[1])
            chosen &= shifts.deviations_S >= _DEVIATIONS_CONFIRMED
            clearest = _clearest(shifts, chosen, levels.opening)
            found += [replace(one, evals=(index - 1, index), confirmed=True) for one in clearest]
    return max(found, key=lambda one: one.deviations, default=None)


def _by_training_alone(evidence: Evidence, levels: Levels, curve: LoggedCurve | None) -> _Setback | None:
    """The clearest rise that needs no other witness, if it is the only one and no evaluation denies it.

    One of two or three is enough where the learning rate fell all the while.
    """
    found = []
    for shifts in shifts_of(levels):
        chosen = _gives_back(shifts, levels.opening) & (shifts.deviations_S >= _DEVIATIONS)
        chosen &= shifts.rise_S >= _TIMES_USUAL * shifts.usual
        found += [(one, shifts) for one in _clearest(shifts, chosen, levels.opening)]
    if not found:
        return None
    one, shifts = max(found, key=lambda pair: pair[0].deviations)
    others = _similar_elsewhere(levels, shifts, one)
    if others and not _lost_at_a_falling_rate(evidence, levels, one, others):
        return None
    one = replace(one, others=tuple(int(levels.step_M[at]) for at in others))
    evals = _evals_behind(levels, curve, one) if curve is not None else None
    if curve is None or evals is None:
        return one
    denied = curve.rise(*evals) < _DENIED * math.log(one.after / one.before)
    return None if denied else replace(one, evals=evals)


def _gives_back(shifts: Shifts, opening: float) -> np.ndarray:
    """Whether the rise at each place is a setback by its size, [S], bool; what is chance is not asked."""
    before_S, after_S = np.exp(shifts.before_S), np.exp(shifts.after_S)
    return np.asarray(
        (shifts.rise_S >= math.log1p(_LEAST_RISE))
        & (opening >= (1 + _LEAST_GAINED) * before_S)
        & (after_S - before_S >= _LEAST_SHARE * (opening - before_S))
        & (shifts.after_S - shifts.last >= _FALLS_AGAIN * shifts.rise_S)
    )


def _clearest(shifts: Shifts, chosen: np.ndarray, opening: float) -> list[_Setback]:
    """The highest of some rises, the last of equal ones: before it nothing is lost; none where none is."""
    if not chosen.any():
        return []
    at = int(np.flatnonzero(chosen & (shifts.rise_S == shifts.rise_S[chosen].max()))[-1])
    before, after = math.exp(shifts.before_S[at]), math.exp(shifts.after_S[at])
    return [
        _Setback(
            index=int(shifts.at_S[at]),
            width=shifts.width,
            before=before,
            after=after,
            last=math.exp(shifts.last),
            share=(after - before) / (opening - before),
            deviations=float(shifts.deviations_S[at]),
        )
    ]


def _similar_elsewhere(levels: Levels, shifts: Shifts, one: _Setback) -> list[int]:
    """Where else the curve rises, by half as much and beyond chance: index of each first point behind."""
    elsewhere = np.abs(shifts.at_S - one.index) >= 2 * one.width
    high = shifts.rise_S >= _SIMILAR * math.log(one.after / one.before)
    left = elsewhere & high & (shifts.deviations_S >= _SIMILAR_DEVIATIONS)
    found: list[int] = []
    while left.any():
        at = int(shifts.at_S[left][np.argmax(shifts.rise_S[left])])
        found.append(at)
        left &= np.abs(shifts.at_S - at) >= 2 * one.width
    return sorted(found)


def _lost_at_a_falling_rate(evidence: Evidence, levels: Levels, one: _Setback, others: Sequence[int]) -> bool:
    """Whether a rise that is not the only one is still a setback: a training may be resumed twice.

    A warm restart raises the rate, so the logged one must fall across each rise; blocks of other examples
    rise more often than thrice, give back less, or begin where epochs do.
    """
    rises = [one.index, *others]
    if len(others) > _MOST_OTHERS or one.share < _SHARE_OF_SEVERAL:
        return False
    return all(_rate_fell(evidence, levels, at, one.width) for at in rises) and not all(
        _is_where_an_epoch_begins(evidence, levels, at) for at in rises
    )


def _evals_behind(levels: Levels, curve: LoggedCurve, one: _Setback) -> tuple[int, int] | None:
    """Index of the evaluation before the rise and of the highest behind it; None where one is missing.

    Behind it are those while the training loss, a median of 5 points, was still up by half of the rise.
    """
    up = (math.log(one.before) + math.log(one.after)) / 2
    begin, end = levels.step_M[one.index - 1], levels.step_M[one.index + one.width - 1]
    inside = np.flatnonzero((curve.step_E > begin) & (curve.step_E <= end))
    inside = inside[[levels.near(step) >= up for step in curve.step_E[inside]]] if len(inside) else inside
    if not len(inside) or inside[0] == 0:
        return None
    return int(inside[0]) - 1, int(inside[np.argmax(curve.loss_E[inside])])


def _setbacks_of(curve: LoggedCurve, opening: float) -> Sequence[int]:
    """Index of each evaluation that lies far above the one before, and of which the last made good a part."""
    logs, found = np.log(curve.loss_E), []
    opening = max(opening, float(curve.loss_E[0]))
    least = max(math.log1p(_LEAST_RISE), _NOISES_CONFIRMED * math.sqrt(2) * trendless_noise(logs))
    for index in range(1, len(curve) - 1):
        before, after = float(curve.loss_E[index - 1]), float(curve.loss_E[index])
        gives_back = after - before >= _LEAST_SHARE * (opening - before)
        again = logs[index] - logs[-1] >= _FALLS_AGAIN * curve.rise(index - 1, index)
        if curve.rise(index - 1, index) >= least and gives_back and again:
            found.append(index)
    return found


def _rate_fell(evidence: Evidence, levels: Levels, at: int, width: int) -> bool:
    """Whether the logged learning rate fell from the window before a rise to that behind it, never rising."""
    steps, rates = evidence.steps.step, evidence.steps.learning_rate
    first, end = levels.step_M[max(0, at - width)], levels.step_M[min(len(levels), at + width) - 1]
    inside = rates[np.isfinite(rates) & (steps >= first) & (steps <= end)]
    return bool(len(inside) > 1 and (np.diff(inside) <= 0).all() and inside[-1] < inside[0])


def _is_where_an_epoch_begins(evidence: Evidence, levels: Levels, at: int) -> bool:
    """Whether an epoch begins within three points of a rise."""
    steps, epochs = evidence.steps.step, evidence.steps.epoch
    near = (max(0, at - 1 - _NEAR), min(len(levels) - 1, at + _NEAR))
    inside = epochs[
        np.isfinite(epochs) & (steps >= levels.step_M[near[0]]) & (steps <= levels.step_M[near[1]])
    ]
    return bool(len(inside) > 1 and np.ceil(inside[-1] - 1e-6) > np.ceil(inside[0] - 1e-6))


def _rate_rose(evidence: Evidence, levels: Levels, one: _Setback) -> bool:
    """Whether the learning rate behind the rise is higher than before it; not where none is logged."""
    steps, rates = evidence.steps.step, evidence.steps.learning_rate
    first, at, end = (levels.step_M[one.index + away] for away in (-one.width, -1, one.width - 1))
    known = np.isfinite(rates)
    before = rates[known & (steps >= first) & (steps <= at)]
    after = rates[known & (steps > at) & (steps <= end)]
    return bool(len(before) and len(after) and median(after) > _RATE_ROSE * median(before))


def _finding(
    evidence: Evidence, levels: Levels, curve: LoggedCurve | None, one: _Setback, raised: bool
) -> Finding:
    word = evidence.step_word
    step, step_before = int(levels.step_M[one.index]), int(levels.step_M[one.index - 1])
    evaluated: dict[str, float] = {}
    told = ""
    if curve is not None and one.evals is not None:
        low, high = (float(curve.loss_E[at]) for at in one.evals)
        evaluated = {"evaluation_before": low, "evaluation_after": high}
        told = f" Evaluation went from {low:.4g} to {high:.4g}."
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"the training loss jumped from {one.before:.4g} to {one.after:.4g} at {word} {step:,} and "
        f"fell again{': the learning rate was raised there' if raised else ''}",
        evidence={
            "kind": "curve_only",
            "confirmed": one.confirmed,
            "step": step,
            "step_before": step_before,
            "loss_before": one.before,
            "loss": one.after,
            "last_loss": one.last,
            "share": one.after / one.before - 1,
            "share_of_gain": one.share,
            "deviations": one.deviations,
            "noise": levels.spread,
            "learning_rate_rose": raised,
            "other_steps": list(one.others),
            **evaluated,
            "sentence": f"It opened at {levels.opening:.4g}. Median {one.before:.4g} up to {word} "
            f"{step_before:,}, {one.after:.4g} behind it, {one.last:.4g} at the end: {one.share:.0%} of what "
            f"had been gained was given back.{_likewise(word, one)}{told}",
        },
        how_sure=_how_sure(evidence, one),
        action=f"look at what happened at {word} {step:,}: a resume that did not load the adapter or the "
        f"optimizer's state, broken rows, or a rate that is too high: {evidence.slower()}",
        would_change="a training loss that goes on from where it was",
    )


def _likewise(word: str, one: _Setback) -> str:
    others = " and ".join(f"{at:,}" for at in one.others)
    return f" It rose likewise at {word} {others}." if others else ""


def _how_sure(evidence: Evidence, one: _Setback) -> str:
    seen = f"{one.deviations:.1f} standard errors of medians of {one.width} points"
    if one.confirmed:
        return f"{seen}, and evaluation jumped at the same place; from the curves alone"
    also = "" if evidence.learning_rate is not None else ", or a learning rate that is raised again"
    told = "evaluation rose there too, less clearly" if one.evals else "no evaluation stands there to tell"
    return f"{seen}; a block of other or harder examples{also} looks the same, and {told}"
