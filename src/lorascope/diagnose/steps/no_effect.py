"""An adapter that changes nothing."""

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.fall import LEAST_FALL, MIN_POINTS, fall
from lorascope.diagnose.steps.gates import need_likelihood

RULE = "no_effect"
_ZERO_STEPS = 0.20


def no_effect(evidence: Evidence) -> Outcome:
    """Find an adapter without effect.

    Signal: every loss of every example is, bit for bit, what it was before the first step; or the gradient is
        exactly 0 in at least a fifth of the steps; or the learning rate is 0 throughout. A training loss that
        falls beyond its noise contradicts the latter two: something was changed, and the 0 is rounding.
    Gate: at least one optimizer step (B is 0 before it, so no adapter has an effect there).
    Advice: look at the targets and at the layers that were adapted.

    Source:
        lm-evaluation-harness #511 and #808, peft #515: adapters that were never applied.
    """
    if not len(evidence.steps):
        return NotRun(rule=RULE, reason="no optimizer step has been made")
    missing = need_likelihood(RULE, evidence)
    if missing is not None:
        return missing
    zero = int((evidence.steps.grad_norm == 0).sum())
    probe = evidence.probe
    still = (
        probe is not None
        and len(probe) > 1
        and probe.steps[0] == 0
        and np.array_equal(probe.nll_EN[0], probe.nll_EN[-1])
    )
    rate_is_zero = evidence.learning_rate == 0
    if not still and not rate_is_zero and zero < _ZERO_STEPS * len(evidence.steps):
        return None
    if not still and _falls(evidence):
        return None
    reason = (
        "the learning rate was 0 throughout"
        if rate_is_zero
        else f"all {probe.num_rows:,} train probe rows have exactly the loss they had before training"
        if still and probe is not None
        else f"the gradient was exactly 0 in {zero:,} of {counted(len(evidence.steps), 'step')}"
    )
    return Finding(
        rule=RULE,
        severity="critical",
        title="the adapter changes nothing",
        evidence={
            "zero_gradient_steps": zero,
            "num_steps": len(evidence.steps),
            "losses_unchanged": bool(still),
            "learning_rate_is_zero": rate_is_zero,
            "sentence": f"After {counted(len(evidence.steps), 'step')} {reason}.",
        },
        how_sure="certain: these are equalities, not estimates",
        action=f"set a learning rate: {evidence.retrain(learning_rate='1e-4')}"
        if rate_is_zero and not still
        else f"look at what is trained on: {evidence.look_at_data()}",
        would_change="a single loss that moves",
    )


def _falls(evidence: Evidence) -> bool:
    losses = evidence.losses_with_warmup
    if len(losses) < MIN_POINTS:
        return False
    seen = fall(losses)
    return seen.share > max(LEAST_FALL, seen.by_chance)
