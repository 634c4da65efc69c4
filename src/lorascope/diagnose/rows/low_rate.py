"""A learning rate so low that the loss only falls in proportion to it."""

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.rows.rate_spent import rate_spent

RULE = "low_rate"
_LEAST_EVALS = 5
_STRAIGHT = 0.7
_LITTLE = 0.20
HARDLY = 0.05
"""A fall so small that the verdict is that nothing is learnt; above it more learning would help."""


def low_rate(evidence: Evidence) -> Outcome:
    """Find a training that has hardly begun when it ends.

        r(t) = sum of the learning rate up to step t      second half over first half, halves of r(last):
        straightness = (L(half) - L(last)) / (L(0) - L(half))

    Signal: straightness >= 0.7, both halves shown to fall (95 %, paired), and the whole fall is at most 20 %
        of the base's loss. A training at a useful rate falls fast and then slowly; one whose loss falls
        as much for the second half of its learning rate as for the first is still on the first slope, and
        that its curve gets flat is the schedule's doing.
    Gate: the base was evaluated (step 0), 5 evaluations, rates logged.
    Advice: three times the rate; ten times where the whole fall is below 5 %.

    Source:
        Ours: for small steps the loss is linear in the sum of the rates (first order of gradient descent).
    """
    probe = need_series(RULE, evidence.probe, "train probe", _LEAST_EVALS)
    if isinstance(probe, NotRun):
        return probe
    spent = rate_spent(evidence, probe.steps)
    if probe.steps[0] != 0 or spent is None:
        return NotRun(rule=RULE, reason="the base model was not evaluated, or no learning rate is logged")
    last = len(probe) - 1
    half = int(np.argmin(np.abs(spent - spent[-1] / 2)))
    if half in (0, last):
        return NotRun(rule=RULE, reason="no evaluation lies near half of the learning rate spent")
    first, second, whole = probe.change(0, half), probe.change(half, last), probe.change(0, last)
    share = -whole.estimate / probe.loss(0)
    if first.high >= 0 or second.high >= 0 or share > _LITTLE:
        return None
    per_rate = (second.estimate / (spent[-1] - spent[half])) / (first.estimate / spent[half])
    if per_rate < _STRAIGHT:
        return None
    rate, factor = evidence.learning_rate or 0.0, 10 if share < HARDLY else 3
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"the learning rate is too low: the loss fell by {share:.1%} and had not begun to bend",
        evidence={
            "share": share,
            "straightness": float(per_rate),
            "half_step": probe.steps[half],
            "first_half": first.estimate,
            "second_half": second.estimate,
            "learning_rate": rate,
            "sentence": f"Train probe {probe.loss(0):.3f} -> {probe.loss(half):.3f} after step "
            f"{probe.steps[half]:,} -> {probe.loss(last):.3f}: for the same sum of learning rates the second "
            f"half fell {per_rate:.2f} times as far as the first.",
        },
        how_sure=f"both falls are shown over {whole.num:,} rows; at a useful rate the second is far smaller",
        action=f"try {factor} times the rate: {evidence.retrain(learning_rate=f'{factor * rate:.2g}')}",
        would_change="a fall that slows down for the same learning rate spent",
    )
