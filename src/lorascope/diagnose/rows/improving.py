"""A loss that is still falling at the end of the log."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import MIN_EVALS, need_both
from lorascope.diagnose.rows.plateau import MARGIN, WINDOW
from lorascope.diagnose.series import Series

RULE = "still_improving"


def improving(evidence: Evidence) -> Outcome:
    """Find that more training may pay.

    Signal: over the newest 4 evaluations the loss fell, on validation and on the train probe (95 %, paired),
        and on validation by more than the 0.5 % that count as flat; the newest one is the lowest of all.
    Gate: 5 evaluations, 20 rows in both sets.
    Advice: more epochs; for a training that is not finished, to let it go on.

    Source:
        Rule R6 of docs/diagnose.md, over the window of the plateau rule: its ends are fixed beforehand,
        and on a flat run both sets would have to fall by chance at once.
    """
    ready = need_both(RULE, evidence, MIN_EVALS)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    first, last = validation.window(WINDOW)
    change, trained = validation.change(first, last), probe.change(first, last)
    loss, further = validation.loss(last), _further(validation)
    if validation.best() != last:
        return None  # it fell, but has turned since
    if change.high >= 0 or trained.high >= 0 or -change.estimate <= MARGIN * loss:
        return None
    since = validation.steps[first]
    return Finding(
        rule=RULE,
        severity="info",
        title=f"validation loss is still falling: {-change.estimate / validation.loss(first):.1%} since step "
        f"{since:,}",
        evidence={
            "first_step": since,
            "last_step": validation.steps[last],
            "change": change.estimate,
            "low": change.low,
            "high": change.high,
            "probe_change": trained.estimate,
            "further": further,
            "num_rows": change.num,
            "sentence": f"From step {since:,} to {validation.steps[last]:,} validation moved by "
            f"{change.estimate:+.4f} nats per token (95 % interval {change.low:+.4f} to {change.high:+.4f}), "
            f"the train probe by {trained.estimate:+.4f}.{_told(further)}",
        },
        how_sure=f"paired over {change.num:,} rows; that it would go on falling is likely, not shown",
        action=_action(evidence),
        would_change="a validation loss that stays within 0.5 % over four evaluations",
    )


def _further(validation: Series) -> float | None:
    """What four more evaluations would bring if each pair gains the same share of what the one before gained.

    Nats per token, <= 0; None where the fall does not slow down, so that nothing bounds it.
    """
    last = len(validation) - 1
    before = validation.loss(last - 2) - validation.loss(last - 4)
    lately = validation.loss(last) - validation.loss(last - 2)
    if before >= 0 or lately >= 0 or lately <= before:
        return None
    pace = lately / before
    return lately * (pace + pace**2)


def _told(further: float | None) -> str:
    if further is None:
        return ""
    return f" Slowing down as it did, four more evaluations would bring about {further:+.4f}."


def _action(evidence: Evidence) -> str:
    if evidence.state != "finished":
        return evidence.let_it_go_on()
    epochs = evidence.evals[-1].epoch
    return f"train longer: {evidence.retrain(epochs=f'{2 * epochs:.3g}')}"
