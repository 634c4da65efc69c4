"""Validation gets worse while training rows get better."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import MIN_EVALS, need_both
from lorascope.diagnose.series import ALPHA, Series
from lorascope.errors import command
from lorascope.metrics.in_words import like_choosing
from lorascope.metrics.uncertainty import Interval

RULE = "overfitting"
_WARN, _CRITICAL = 0.03, 0.10
_LAST, _BEST = 6, 4  # evaluations; fewer let more flat runs pass for rising, or see less


def overfitting(evidence: Evidence) -> Outcome:
    """Find overfitting after the best evaluation.

    Signal, either of two, while the train probe fell over the same steps (95 %). (a) Validation loss now
        minus validation loss at its best, paired row by row, is above 0 at the level 1 - 0.05 / K (K earlier
        evaluations) in each of the last two evaluations. (b) The mean of the last 6 evaluations is above the
        mean of the best 4 in a row before them, at the level 1 - 0.05 / W (W places where those 4 could
        stand): a rise too small for one evaluation, that stays. By size: info below 3 % of the loss, warn to
        10 %, critical above.
    Gate: 5 evaluations, 20 rows in both sets; 10 evaluations for (b).
    Advice: ship the best adapter; then fewer epochs.

    Source:
        Rule R8 and section 2.4 of docs/diagnose.md: on flat runs with 200 rows either control alone
        fires in 11 to 34 % of runs with 10 to 20 evaluations, both together in 2 to 4 %. (b) is ours: with
        (a) it finds a rise of 0.02 nats that stays for 10 evaluations in 94 of 100 runs ((a) alone in 33),
        and fires in 1.3 to 1.6 % of flat runs of 12 to 40 evaluations.
    """
    ready = need_both(RULE, evidence, MIN_EVALS)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    return _lately(evidence, validation, probe) or _for_long(evidence, validation, probe)


def _lately(evidence: Evidence, validation: Series, probe: Series) -> Finding | None:
    last, best = len(validation) - 1, validation.best()
    if best >= last - 1:
        return None
    now, before = validation.rise_from_best(last, best), validation.rise_from_best(last - 1, best)
    trained = probe.change(best, last)
    if now.low <= 0 or before.low <= 0 or trained.high >= 0:
        return None
    sure = f"paired over {now.num:,} rows, twice in a row, corrected for {last} earlier evaluations"
    return _finding(evidence, validation, now, trained, best, sure)


def _for_long(evidence: Evidence, validation: Series, probe: Series) -> Finding | None:
    earlier = len(validation) - _LAST
    if earlier < _BEST:
        return None
    means = [sum(validation.loss(at + k) for k in range(_BEST)) for at in range(earlier - _BEST + 1)]
    place = means.index(min(means))
    window, lately = slice(place, place + _BEST), slice(earlier, len(validation))
    rise = validation.change_of_means(window, lately, level=1 - ALPHA / len(means))
    trained = probe.change_of_means(window, lately)
    if rise.low <= 0 or trained.high >= 0:
        return None
    best = min(range(place, place + _BEST), key=validation.loss)
    sure = (
        f"paired over {rise.num:,} rows; means of the last {_LAST} evaluations and of the best {_BEST} in a "
        "row, "
        f"corrected for {len(means)} places"
    )
    return _finding(evidence, validation, rise, trained, best, sure)


def _finding(
    evidence: Evidence, validation: Series, rise: Interval, trained: Interval, best: int, how_sure: str
) -> Finding:
    last = len(validation) - 1
    low, high = validation.loss(best), validation.loss(last)
    share, step = rise.estimate / low, validation.steps[best]
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
            "rise": rise.estimate,
            "rise_low": rise.low,
            "rise_high": rise.high,
            "level": rise.level,
            "share": share,
            "probe_change": trained.estimate,
            "probe_high": trained.high,
            "num_rows": rise.num,
            "sentence": f"Validation {low:.3f} after step {step:,} ({like_choosing(low)}), {high:.3f} after "
            "step "
            f"{validation.steps[last]:,} ({like_choosing(high)}): a rise of {rise.estimate:+.3f} nats per "
            "token "
            f"({rise.level:.1%} interval {rise.low:+.3f} to {rise.high:+.3f}); over the same steps the "
            "train probe "
            f"moved by {trained.estimate:+.3f}. Some guides call this divergence.",
        },
        how_sure=f"{how_sure}; another seed of training may turn at another step",
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
