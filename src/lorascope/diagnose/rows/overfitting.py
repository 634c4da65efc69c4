"""Validation gets worse while training rows get better."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import MIN_EVALS, need_both
from lorascope.diagnose.series import Series
from lorascope.errors import command
from lorascope.metrics.uncertainty import Interval

RULE = "overfitting"
_WARN, _CRITICAL = 0.03, 0.10


def overfitting(evidence: Evidence) -> Outcome:
    """Find overfitting after the best evaluation.

    Signal: validation loss now minus validation loss at its best, paired row by row, is above 0 at the level
        1 - 0.05 / K (K earlier evaluations) in each of the last two evaluations, while the train probe fell
        over the same steps (95 %). By size: info below 3 % of the loss, warn to 10 %, critical above.
    Gate: 5 evaluations, 20 rows in both sets.
    Advice: ship the best adapter; then fewer epochs.

    Source:
        Rule R8 and section 2.4 of docs/diagnose.md: on flat runs with 200 rows either control alone
        fires in 11 to 34 % of runs with 10 to 20 evaluations, both together in 2 to 4 %.
    """
    ready = need_both(RULE, evidence, MIN_EVALS)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    last, best = len(validation) - 1, validation.best()
    if best >= last - 1:
        return None
    now, before = validation.rise_from_best(last, best), validation.rise_from_best(last - 1, best)
    trained = probe.change(best, last)
    if now.low <= 0 or before.low <= 0 or trained.high >= 0:
        return None
    return _finding(evidence, validation, now, trained, best, last)


def _finding(
    evidence: Evidence, validation: Series, now: Interval, trained: Interval, best: int, last: int
) -> Finding:
    low, high = validation.loss(best), validation.loss(last)
    share, step = now.estimate / low, validation.steps[best]
    severity: Severity = "info" if share < _WARN else "warn" if share <= _CRITICAL else "critical"
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"overfitting since step {step:,}: validation loss is {share:.1%} above its best",
        evidence={
            "best_step": step,
            "best_loss": low,
            "last_step": validation.steps[last],
            "last_loss": high,
            "rise": now.estimate,
            "rise_low": now.low,
            "rise_high": now.high,
            "level": now.level,
            "share": share,
            "probe_change": trained.estimate,
            "probe_high": trained.high,
            "num_rows": now.num,
            "sentence": f"Validation {low:.3f} after step {step:,}, {high:.3f} after step "
            f"{validation.steps[last]:,}: {now.estimate:+.3f} nats per token ({now.level:.1%} interval "
            f"{now.low:+.3f} to {now.high:+.3f}); over the same steps the train probe moved by "
            f"{trained.estimate:+.3f}.",
        },
        how_sure=f"paired over {now.num:,} rows, twice in a row, corrected for {last} earlier evaluations; "
        "another seed of training may turn at another step",
        action=_action(evidence, step),
        would_change="a task metric that still improves: then a rising loss is not what matters",
    )


def _action(evidence: Evidence, step: int) -> str:
    if step == 0:
        return f"the base model is better than any adapter of this run: {evidence.slower()}"
    if "best" in evidence.adapters and evidence.state == "finished":
        target = ("--merged", f"{evidence.run}/merged", "--adapter", "best")
        return f"ship the best adapter: {command('export', evidence.run, *target)}"
    epoch = next((one.epoch for one in evidence.evals if one.step == step), None)
    if epoch:
        return f"train only that far: {evidence.retrain(epochs=f'{epoch:.3g}')}"
    return f"train for fewer epochs: {evidence.retrain()}"
