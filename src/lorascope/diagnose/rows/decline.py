"""A loss that has fallen, on training rows and on others."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_both
from lorascope.errors import command
from lorascope.metrics.in_words import like_choosing

RULE = "healthy_decline"


def decline(evidence: Evidence) -> Outcome:
    """Find that the adapter has learnt something that carries over.

    Signal: from the first evaluation to the last the loss fell on validation and on the train probe (95 %,
        paired).
    Gate: two evaluations, 20 rows in both sets.
    Advice: measure it exactly.

    Source:
        Rule R6 of docs/diagnose.md. The first evaluation is fixed beforehand, so no best of several is
        involved and no correction is due.
    """
    ready = need_both(RULE, evidence, 2)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    last = len(validation) - 1
    change, trained = validation.change(0, last), probe.change(0, last)
    if change.high >= 0 or trained.high >= 0:
        return None
    before, after = validation.loss(0), validation.loss(last)
    start = "the base model" if validation.steps[0] == 0 else f"step {validation.steps[0]:,}"
    return Finding(
        rule=RULE,
        severity="info",
        title=f"validation loss fell by {-change.estimate / before:.1%} from {start}",
        evidence={
            "first_loss": before,
            "last_loss": after,
            "change": change.estimate,
            "low": change.low,
            "high": change.high,
            "probe_change": trained.estimate,
            "num_rows": change.num,
            "sentence": f"Validation {before:.3f} -> {after:.3f}: {change.estimate:+.3f} nats per token "
            f"(95 % interval {change.low:+.3f} to {change.high:+.3f}); train probe {trained.estimate:+.3f}. "
            f"{_in_words(before, after, evidence.evals[-1].vocabulary_size)}",
        },
        how_sure=f"paired over {change.num:,} rows; says nothing about another seed",
        action=f"measure it exactly: {command('eval', evidence.run)}",
        would_change="rows that are in both splits, which would make the fall mean less",
    )


def _in_words(before: float, after: float, vocabulary_size: int | None) -> str:
    """What the fall means for the next token."""
    first, last = (like_choosing(loss, vocabulary_size) for loss in (before, after))
    return f"The next token was {first}, and is {last}."
