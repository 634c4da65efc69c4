"""Answers that do not depend on what was asked."""

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import need_learnt
from lorascope.metrics.likelihood import mean_nll
from lorascope.metrics.uncertainty import paired_ratio_difference

RULE = "prompt_use"
_WORTHLESS = 0.05  # of the answers' own loss


def prompt_use(evidence: Evidence) -> Outcome:
    """Find an adapter that answers without reading the prompt.

        worth = loss of answers behind other rows' prompts - loss behind their own, in nats per target token

    Signal: warn where the interval of the worth lies below 5 % of the loss: any prompt does as well, as after
        a training on answers that belong to other prompts. Its curves look healthy, because the form of the
        answers is learnt. Info else: what the right prompt is worth.
    Gate: the training is finished, its train probe fell by 10 % of the base's loss, and 20 rows have prompts
        of their own.
    Advice: read rows; a wrong join of prompts and answers, or a field that the template leaves out.

    Source:
        Ours. That no curve shows shuffled answers: trainproof's gallery, where they lowered the loss by 62 %
        (docs/diagnose.md). The worth is an estimate of the pointwise mutual information of prompt and answer.
    """
    told = evidence.prompt_use
    if told is None:
        return NotRun(rule=RULE, reason="the training is not finished, or is of a version before this rule")
    if not told["num_tokens"]:
        return NotRun(rule=RULE, reason="fewer than 20 rows have prompts of their own")
    too_little = need_learnt(RULE, evidence)
    if too_little is not None:
        return too_little
    own_N, other_N, num_N = (np.array(told[name]) for name in ("own_nll", "other_nll", "num_tokens"))
    worth, own = paired_ratio_difference(own_N, other_N, num_N), mean_nll(own_N, num_N)
    ignored = worth.high < _WORTHLESS * own
    severity: Severity = "warn" if ignored else "info"
    return Finding(
        rule=RULE,
        severity=severity,
        title="the answers do not depend on the prompt: another row's does as well"
        if ignored
        else f"the right prompt is worth {worth.estimate:.2g} nats per token",
        evidence={
            "worth": worth.estimate,
            "low": worth.low,
            "high": worth.high,
            "own_loss": own,
            "other_loss": own + worth.estimate,
            "num_rows": len(num_N),
            "sentence": f"Answers of {len(num_N):,} {told['split']} rows: {own:.3f} nats per token behind "
            f"their own prompts, {own + worth.estimate:.3f} behind those of other rows (95 % interval of the "
            f"difference {worth.low:+.3f} to {worth.high:+.3f}).",
        },
        how_sure=f"paired over {len(num_N):,} rows; prompts that are all nearly the same do this too",
        action=f"read some rows, do their answers belong to them? {evidence.look_at_data()}"
        if ignored
        else "none",
        would_change="answers that get less likely behind a wrong prompt"
        if ignored
        else "a worth that does not differ from 0",
    )
