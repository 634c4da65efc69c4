"""An evaluation loss that rises while the training loss falls, as logged."""

from lorascope.diagnose.curves.logged import LoggedCurve, in_words, need_curve, train_change
from lorascope.diagnose.curves.metric_disagrees import choose_first, disagreement, winners
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity

RULE = "overfitting"
MIN_EVALS = 5
_WARN, _CRITICAL = 0.03, 0.10


def logged_overfitting(evidence: Evidence) -> Outcome:
    """Find overfitting after the best evaluation, from the curve alone.

    Signal: the last two evaluations lie above the best by 1 % and by 2.5 standard errors of a difference,
        with the noise of successive differences, while the training loss fell over the same steps. By size:
        info below 3 %, warn to 10 %, critical above.
    Gate: 5 evaluations, 10 training points.
    Advice: the checkpoint of the best evaluation; then fewer epochs. Where a task metric improved meanwhile,
        see `metric_disagrees`, both winners are named, and the criterion is to be chosen first.

    Source:
        Rule R8 of docs/diagnose.md, the weak form: one number cannot tell which rows were drawn.
    """
    curve = need_curve(RULE, evidence, MIN_EVALS)
    if isinstance(curve, NotRun):
        return curve
    best, last = curve.best(), len(curve) - 1
    if not curve.stays_above(best):
        return None
    trained = train_change(evidence, curve, best, last)
    if trained is None or trained >= 0:
        return None
    return _finding(evidence, curve, best, trained)


def _finding(evidence: Evidence, curve: LoggedCurve, best: int, trained: float) -> Finding:
    low, high = float(curve.loss_E[best]), float(curve.loss_E[-1])
    share, step, end = high / low - 1, int(curve.step_E[best]), int(curve.step_E[-1])
    word, other = evidence.step_word, disagreement(evidence, curve)
    severity: Severity = "info" if share < _WARN else "warn" if share <= _CRITICAL else "critical"
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"overfitting since {word} {step:,}: evaluation loss is {share:.1%} above its best",
        evidence={
            "kind": "curve_only",
            "best_step": step,
            "best_loss": low,
            "last_step": end,
            "last_loss": high,
            "share": share,
            "noise": curve.noise,
            "training_change": trained,
            "sentence": f"Evaluation {in_words(low)} at {word} {step:,}, {in_words(high)} at {word} "
            f"{end:,}; over the same {word}s the training loss moved by "
            f"{trained:+.0%}. Some guides call this divergence."
            + (f" {winners(evidence, curve, other)}" if other else ""),
        },
        how_sure=f"twice in a row beyond 2.5 standard errors of a noise of {curve.noise:.1%}; from the "
        "curve alone, so "
        "which rows happened to be held out is not covered",
        action=choose_first(evidence, curve, other) if other else _action(evidence, step, word),
        would_change=f"{other.name} as the criterion: by it the training was still improving"
        if other
        else "a task metric that still improves: then a rising loss is not what matters",
    )


def _action(evidence: Evidence, step: int, word: str) -> str:
    if any(saved == step for saved in evidence.adapters.values()):
        return f"ship checkpoint-{step}: it is on disk"
    return f"ship what was saved nearest to {word} {step:,}; then train for fewer epochs"
