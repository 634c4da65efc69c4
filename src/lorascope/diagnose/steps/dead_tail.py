"""A learning rate that runs out before the training does."""

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome

RULE = "dead_learning_rate"
_DEAD = 1e-3
_SHARE = 0.05


def dead_tail(evidence: Evidence) -> Outcome:
    """Find steps that change nothing at the end.

    Signal: the learning rate is at most 0.001 of its peak for more than 5 % of the steps, at the end.
    Gate: learning rates in the log.
    Advice: a schedule as long as the training.

    Source:
        Rule R22 of docs/diagnose.md. A cosine is that low for its last 2 %, a line for its last 0.1 %: by
        design.
    """
    steps, peak = evidence.steps, evidence.learning_rate
    known = np.isfinite(steps.learning_rate)
    if not peak or known.sum() < 2:
        return NotRun(rule=RULE, reason="no learning rate is logged")
    step, rate = steps.step[known], steps.learning_rate[known]
    alive = np.flatnonzero(rate > _DEAD * peak)
    last_alive, end = float(step[alive[-1]]), float(step[-1])
    share = (end - last_alive) / max(end, 1.0)
    if alive[-1] >= len(rate) - 2 or share <= _SHARE:
        return None
    return Finding(
        rule=RULE,
        severity="info",
        title=f"the learning rate ran out at step {last_alive:,.0f}: the last {share:.0%} of the steps "
        "change nothing",
        evidence={
            "last_step_alive": last_alive,
            "last_step": end,
            "share": share,
            "peak": peak,
            "sentence": f"The peak was {peak:.2g}; from step {last_alive:,.0f} of {end:,.0f} on it is at "
            "most "
            f"{_DEAD * peak:.1g}.",
        },
        how_sure="certain: that is the rate that was logged",
        action="make the schedule as long as the training: the number of steps and that of epochs disagree",
        would_change="a schedule that ends with the training",
    )
