"""An evaluation loss that has fallen, as logged."""

from lorascope.diagnose.curves.logged import VISIBLE, LoggedCurve, in_words, measure, need_curve
from lorascope.diagnose.curves.overfitting import overfit_by_shape
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome

RULE = "healthy_decline"
_ALL_FALL = 5


def logged_decline(evidence: Evidence) -> Outcome:
    """Find that the evaluation loss fell, from the curve alone.

    Signal: it fell from the first evaluation to the last by 1 % and by 2.5 standard errors of a difference;
        or each of 5 or more evaluations is below the one before (by chance once in 120 flat curves). The last
        two are not shown to lie above the best, by noise or by shape: what fell and rose again is no healthy
        decline.
    Gate: 4 evaluations, 10 training points.
    Where the last one lies 1 % above the best all the same, that is told.
    Advice: measure it exactly.

    Source:
        Rule R6 of docs/diagnose.md, the weak form.
    """
    curve = need_curve(RULE, evidence)
    if isinstance(curve, NotRun):
        return curve
    if curve.stays_above(curve.best()) or overfit_by_shape(evidence, curve):
        return None
    last = len(curve) - 1
    shown = -curve.rise(0, last) > curve.visible()
    if not shown and not (len(curve) >= _ALL_FALL and curve.all_fall()):
        return None
    before, after = float(curve.loss_E[0]), float(curve.loss_E[-1])
    best = float(curve.loss_E[curve.best()])
    word = evidence.step_word
    return Finding(
        rule=RULE,
        severity="info",
        title=f"evaluation loss fell by {1 - after / before:.1%} from {word} {int(curve.step_E[0]):,}",
        evidence={
            "kind": "curve_only",
            "first_loss": before,
            "last_loss": after,
            "best_loss": best,
            "last_above_best": after / best - 1,
            "noise": curve.noise,
            "num_evaluations": len(curve),
            "sentence": f"Evaluation {in_words(evidence, before)} -> {in_words(evidence, after)} "
            f"over {len(curve)} evaluations." + _above(curve, word),
        },
        how_sure=f"a noise of {curve.noise:.1%} between neighbours; from the curve alone, and rows that are "
        "in both "
        "splits would do the same",
        action=measure("measure it exactly", evidence),
        would_change="rows that are in both splits, which would make the fall mean less",
    )


def _above(curve: LoggedCurve, word: str) -> str:
    """That the last evaluation is not the best, where the difference is worth a word."""
    best = curve.best()
    share = float(curve.loss_E[-1] / curve.loss_E[best]) - 1
    if share < VISIBLE:
        return ""
    return (
        f" The last one lies {share:.1%} above the best, that of {word} {int(curve.step_E[best]):,}: "
        "its noise may do that."
    )
