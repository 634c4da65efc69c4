"""The same adapter, measured twice."""

from pathlib import Path

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.errors import command

RULE = "rescored"
_SAME_PRECISION, _OTHER_PRECISION = 1e-4, 0.02


def rescored(evidence: Evidence) -> Outcome:
    """Find an adapter whose saved form does not answer like the one in training.

    Signal: eval's loss of the last adapter differs from the loss at the end of training over the same rows by
        more than 1e-4 of it (rounding; 2 % where training evaluated in half precision).
    Gate: eval has measured this very adapter on the whole validation split, and training ended with it.
    Advice: trust neither number before this is understood.

    Source:
        ms-swift #8262: 0.09 in training, 0.36 after loading. Rule 7 of docs/diagnose.md.
    """
    measured, evals = evidence.rescored, evidence.evals
    last = evals[-1] if evals else None
    if measured is None:
        return NotRun(rule=RULE, reason="lorascope eval has not measured this adapter")
    if last is None or not last.full or last.validation is None:
        return NotRun(
            rule=RULE, reason="training did not end with an evaluation of the whole validation split"
        )
    same_rows = (measured["num_examples"], measured["supervised_tokens"]) == (
        last.validation.num_examples,
        last.validation.target_tokens,
    )
    is_last = Path(str(measured.get("adapter"))).name == "adapter"
    if measured["split"] != "validation" or not same_rows or not is_last or measured["eval_loss"] is None:
        return NotRun(
            rule=RULE, reason="eval measured other rows or another adapter than training ended with"
        )
    same = measured["precision"] == last.precision
    limit = _SAME_PRECISION if same else _OTHER_PRECISION
    before, after = last.validation.loss, measured["eval_loss"]
    share = abs(after - before) / before if before else abs(after)
    if share <= limit:
        return None
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"the saved adapter scores {after:.4f}, in training it scored {before:.4f}",
        evidence={
            "in_training": before,
            "after_loading": after,
            "share": share,
            "limit": limit,
            "precisions": [last.precision, measured["precision"]],
            "sentence": f"The same {last.validation.num_examples:,} rows: {before:.5f} at the end of "
            f"training in {last.precision}, {after:.5f} after loading in {measured['precision']}, "
            f"{share:.2%} apart.",
        },
        how_sure=f"rounding explains up to {limit:.2%}",
        action=f"measure again: {command('eval', evidence.run, '--overwrite')}",
        would_change="two equal numbers",
    )
