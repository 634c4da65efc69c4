"""A loss that has stopped moving: shown to be flat, not merely not shown to move."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.series import rows_needed
from lorascope.errors import command

RULE = "plateau"
WINDOW = 4
"""Newest evaluations that are looked at."""
MARGIN = 0.005
"""Share of the loss within which it counts as flat."""
_Z90 = 1.645


def plateau(evidence: Evidence) -> Outcome:
    """Find a plateau by equivalence.

    Signal: over the newest 4 evaluations the 90 % interval of each change up to the last one lies inside
        +-0.5 % of the loss (two one-sided tests; all must hold, so no correction is due).
    Gate: 4 evaluations, 20 rows, and a standard error that can conclude: at most the margin / 1.645.
    Advice: stop, or raise the learning rate; where it was constant, let it run out by a cosine, which gains
        what the noise of the steps holds back. Where it was below 10 % of its peak the loss is flat because
        the schedule ended: "annealed", not stuck.

    Source:
        Schuirmann 1987, "A comparison of the two one-sided tests procedure"; section 2.3 of docs/diagnose.md.
    """
    validation = need_series(RULE, evidence.validation, "validation", WINDOW)
    if isinstance(validation, NotRun):
        return validation
    first, last = validation.window(WINDOW)
    loss = validation.loss(last)
    margin = MARGIN * loss
    changes = [validation.change(index, last, level=0.90) for index in range(first, last)]
    stderr = max(one.stderr or 0.0 for one in changes)
    if any(abs(one.estimate) > margin for one in changes):
        return None  # it moved: whether that is shown is another rule's question
    if stderr > margin / _Z90:
        needed = rows_needed(validation.num_rows, stderr, margin / _Z90)
        reason = f"{validation.num_rows} rows cannot tell flat from slowly moving; about {needed:,} could"
        return NotRun(rule=RULE, reason=reason)
    if not all(-margin < one.low and one.high < margin for one in changes):
        return None
    steps = (validation.steps[first], validation.steps[last])
    annealed = evidence.annealed(steps[0])
    return Finding(
        rule=RULE,
        severity="info",
        title=f"validation loss is flat since step {steps[0]:,}"
        + (": the learning rate has run out" if annealed else ""),
        evidence={
            "first_step": steps[0],
            "last_step": steps[1],
            "loss": loss,
            "margin": margin,
            "change": changes[0].estimate,
            "low": min(one.low for one in changes),
            "high": max(one.high for one in changes),
            "annealed": annealed,
            "sentence": f"Since step {steps[0]:,} every change stays within +-{margin:.4f} nats per token "
            f"(0.5 % of {loss:.3f}): 90 % intervals from {min(one.low for one in changes):+.4f} to "
            f"{max(one.high for one in changes):+.4f}.",
        },
        how_sure=f"shown by equivalence over {validation.num_rows:,} rows, not by the lack of a difference",
        action=f"measure what it gained: {command('eval', evidence.run)}"
        if annealed
        else evidence.rate_to_run_out() or f"stop here, or try a higher rate: {_faster(evidence)}",
        would_change="a change of more than 0.5 % in the next evaluations",
    )


def _faster(evidence: Evidence) -> str:
    rate = evidence.learning_rate
    return evidence.retrain(learning_rate=f"{2 * rate:.2g}") if rate else evidence.retrain()
