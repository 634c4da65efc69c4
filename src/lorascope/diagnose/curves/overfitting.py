"""An evaluation loss that rises, as logged: overfitting where the training loss fell meanwhile."""

from dataclasses import dataclass

from lorascope.diagnose.curves.logged import VISIBLE, LoggedCurve, in_words, need_curve, train_change
from lorascope.diagnose.curves.metric_disagrees import choose_first, disagreement, winners
from lorascope.diagnose.curves.rising import both_rise
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity

RULE = "overfitting"
MIN_EVALS = 5
_FEWEST = 2
_WARN, _CRITICAL = 0.03, 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rise:
    """The end of a curve above its best.

    Attributes:
        best: Index of the evaluation with the lowest loss.
        share: How far the last one lies above it, as a share.
        trained: How the training loss moved meanwhile, as a share; None where it is not logged.
        shown: Whether that is overfitting; else it may as well be divergence, or chance.
    """

    best: int
    share: float
    trained: float | None
    shown: bool


def logged_overfitting(evidence: Evidence) -> Outcome:
    """Find an evaluation loss that rose after its best, from the curve alone.

    Signal: the last two evaluations lie above the best by 1 %, and their mean by 4.3 standard errors above
        that of the best and its neighbours, or the last three by 2.9 above the best, or each above the one
        before; with the noise of successive differences, see `LoggedCurve.stays_above`. By size: info below
        3 %, warn to 10 %, critical above. It is overfitting where the training loss fell by 1 % over the
        same steps. Where it did not, or where none is logged, the rise is told without that name ("shown" is
        false), and does not decide the verdict but for not_enough_evidence; where both are shown to rise
        `diverging` tells it.
        Of 2 to 4 evaluations, whose noise cannot be known: the last lies 3 % above the best, warn from 10 %.
        Of any number it is overfitting, with the severity of its size, by shape alone: after the best each is
        above the one before, twice at least, by 10 % in all, and the training loss fell. 2 evaluations are
        never enough; of 5 and more each up to the best must be below the one before too, and the rise be of
        three evaluations or smaller than the fall: the noise of so few, told from a steep start and a turn,
        would hide it. Flat curves of 5 evaluations with a noise of 5 % do so in 3 of 100 simulations, of 6 in
        2, of 7 in 0.6.
    Gate: 2 evaluations.
    Advice: the checkpoint of the best evaluation; then fewer epochs. Where a task metric improved meanwhile,
        see `metric_disagrees`, both winners are named, and the criterion is to be chosen first.

    Source:
        Rule R8 of docs/diagnose.md, the weak form: one number cannot tell which rows were drawn.
    """
    curve = need_curve(RULE, evidence, _FEWEST, points=0)
    if isinstance(curve, NotRun):
        return curve
    best, last = curve.best(), len(curve) - 1
    share = float(curve.loss_E[last] / curve.loss_E[best]) - 1
    trained = train_change(evidence, curve, best, last)
    fell = trained is not None and trained < -VISIBLE
    if len(curve) < MIN_EVALS:
        if share < _WARN:
            reason = f"{len(curve)} evaluations are logged, {MIN_EVALS} are needed to know their noise"
            return NotRun(rule=RULE, reason=reason)
        shown = overfit_by_shape(evidence, curve)
        return _of_few(evidence, curve, _Rise(best=best, share=share, trained=trained, shown=shown))
    if curve.stays_above(best):
        rise = _Rise(best=best, share=share, trained=trained, shown=fell)
        return None if both_rise(evidence, curve) else _of_many(evidence, curve, rise, _beyond_noise(curve))
    if not overfit_by_shape(evidence, curve):
        return None
    rise = _Rise(best=best, share=share, trained=trained, shown=True)
    return _of_many(evidence, curve, rise, _by_shape(curve))


def overfit_by_shape(evidence: Evidence, curve: LoggedCurve) -> bool:
    """Whether evaluations count as overfitting whatever their noise, because not one is out of order.

    Args:
        evidence: Of a log.
        curve: Its evaluation losses.
    """
    best, last = curve.best(), len(curve) - 1
    trained = train_change(evidence, curve, best, last)
    rises = curve.all_rise(best) and float(curve.loss_E[last] / curve.loss_E[best]) - 1 >= _CRITICAL
    if not rises or best >= last - 1 or trained is None or trained >= -VISIBLE:
        return False
    if len(curve) < MIN_EVALS:
        return True
    return curve.all_fall(best) and (best < last - 2 or -curve.rise(0, best) > curve.rise(best, last))


def _severity(share: float) -> Severity:
    return "info" if share < _WARN else "warn" if share <= _CRITICAL else "critical"


def _beyond_noise(curve: LoggedCurve) -> str:
    return f"twice in a row, beyond what a noise of {curve.noise:.1%} does in 2 flat curves of 100"


def _by_shape(curve: LoggedCurve) -> str:
    best, after = curve.best(), len(curve) - 1 - curve.best()
    before = f"each of the first {best + 1} evaluations lies below the one before and " if best > 1 else ""
    return f"{before}each of the last {after} above the one before, by {_CRITICAL:.0%} and more in all"


def _of_many(evidence: Evidence, curve: LoggedCurve, rise: _Rise, shown_by: str) -> Finding:
    word, since = evidence.step_word, int(curve.step_E[rise.best])
    other = disagreement(evidence, curve)
    return Finding(
        rule=RULE,
        severity=_severity(rise.share),
        title=f"overfitting since {word} {since:,}: evaluation loss is {rise.share:.1%} above its best"
        if rise.shown
        else f"evaluation loss rose by {rise.share:.1%} since {word} {since:,}; {_untold(rise)}",
        evidence=_numbers(evidence, curve, rise)
        | {
            "sentence": _sentence(evidence, curve, rise)
            + (" Some guides call this divergence." if rise.shown else "")
            + (f" {winners(evidence, curve, other)}" if other else ""),
        },
        how_sure=f"{shown_by}; from the curve alone, so which rows happened to be held out is not covered",
        action=choose_first(evidence, curve, other) if other else _action(evidence, curve, rise),
        would_change=f"{other.name} as the criterion: by it the training was still improving"
        if other
        else "a task metric that still improves: then a rising loss is not what matters",
    )


def _of_few(evidence: Evidence, curve: LoggedCurve, rise: _Rise) -> Finding:
    word, since = evidence.step_word, int(curve.step_E[rise.best])
    low, high = float(curve.loss_E[rise.best]), float(curve.loss_E[-1])
    unknown, risen = f"{MIN_EVALS} are needed to know its noise", len(curve) - rise.best
    return Finding(
        rule=RULE,
        severity=_severity(rise.share) if rise.shown else "warn" if rise.share >= _CRITICAL else "info",
        title=f"overfitting since {word} {since:,}: evaluation rose from {low:.4g} to {high:.4g}, each of "
        f"{risen} evaluations above the one before"
        if rise.shown
        else f"evaluation rose from {low:.4g} to {high:.4g} over {risen} evaluations; {unknown}",
        evidence=_numbers(evidence, curve, rise) | {"sentence": _sentence(evidence, curve, rise)},
        how_sure=f"{len(curve)} evaluations are logged; {unknown}, so the size of the rise speaks alone",
        action=_action(evidence, curve, rise)
        if rise.shown
        else f"evaluate at least {MIN_EVALS} times; until then prefer {word} {since:,} to the last",
        would_change="further evaluations below the best so far",
    )


def _numbers(evidence: Evidence, curve: LoggedCurve, rise: _Rise) -> dict[str, object]:
    return {
        "kind": "curve_only",
        "shown": rise.shown,
        "best_step": int(curve.step_E[rise.best]),
        "best_loss": float(curve.loss_E[rise.best]),
        "last_step": int(curve.step_E[-1]),
        "last_loss": float(curve.loss_E[-1]),
        "share": rise.share,
        "noise": curve.noise if len(curve) >= MIN_EVALS else None,
        "num_evaluations": len(curve),
        "training_change": rise.trained,
    }


def _untold(rise: _Rise) -> str:
    if rise.trained is None:
        return "no training loss is logged, so overfitting and divergence cannot be told apart"
    return "the training loss is not shown to fall, so overfitting and divergence cannot be told apart"


def _sentence(evidence: Evidence, curve: LoggedCurve, rise: _Rise) -> str:
    word = evidence.step_word
    low, high = float(curve.loss_E[rise.best]), float(curve.loss_E[-1])
    trained = (
        "no training loss is logged beside them"
        if rise.trained is None
        else f"over the same {word}s the training loss moved by {rise.trained:+.0%}"
    )
    return (
        f"Evaluation {in_words(evidence, low)} at {word} {int(curve.step_E[rise.best]):,}, "
        f"{in_words(evidence, high)} at {word} {int(curve.step_E[-1]):,}; {trained}."
    )


def _action(evidence: Evidence, curve: LoggedCurve, rise: _Rise) -> str:
    step, word = int(curve.step_E[rise.best]), evidence.step_word
    if step <= 0:
        return f"ship no adapter: none is better than the base model; {evidence.slower()}"
    saved = any(one == step for one in evidence.adapters.values())
    ship = (
        f"ship checkpoint-{step}: it is on disk"
        if saved
        else f"ship what was saved nearest to {word} {step:,}"
    )
    if not rise.shown:
        return f"{ship}; log the training loss beside it: where it falls train for fewer epochs, else slower"
    return ship if saved else f"{ship}; then train for fewer epochs"
