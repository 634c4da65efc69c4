"""A loss or gradient that is not a number."""

from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, Outcome

RULE = "non_finite"
_SKIPS_ALLOWED = 0.01


def non_finite(evidence: Evidence) -> Outcome:
    """Find NaN and infinity in the log.

    Signal: train/failure.json, or a step whose loss is null. A null gradient norm beside a finite loss is
        fp16's loss scaler skipping a step: info below 1 % of the steps, warn above.
    Gate: none; one such number is enough.
    Advice: lower the learning rate, or leave fp16.

    Source:
        docs/diagnose.md: transformers 5.23 logs a NaN step as 0.0 and returns normally; our loop stops
        before the update and writes null with its reason.
    """
    broken = next((one for one in evidence.steps if one.loss is None), None)
    if evidence.failure is not None or broken is not None:
        return _stopped(evidence, evidence.failure or _as_failure(broken))
    skipped = [one for one in evidence.steps if one.grad_norm is None]
    if not skipped:
        return None
    share = len(skipped) / len(evidence.steps)
    return Finding(
        rule=RULE,
        severity="info" if share < _SKIPS_ALLOWED else "warn",
        title=f"{len(skipped):,} of {len(evidence.steps):,} steps were skipped by the fp16 loss scaler",
        evidence={
            "num_skipped": len(skipped),
            "num_steps": len(evidence.steps),
            "share": share,
            "first_step": skipped[0].step,
            "sentence": f"The gradient overflowed first in step {skipped[0].step}, the loss stayed finite.",
        },
        how_sure="counted, not estimated; below 1 % of the steps this is how fp16 works",
        action=f"use bf16 or float32: {evidence.retrain('train.precision=auto')}",
        would_change="a training in bf16 or float32, where every gradient must be finite",
    )


def _as_failure(step: Any) -> dict[str, Any]:
    return {
        "step": step.step,
        "last_good_step": step.step - 1,
        "message": step.why or "the loss is not finite",
        "example_ids": [],
        "learning_rate": step.learning_rate,
    }


def _stopped(evidence: Evidence, failure: dict[str, Any]) -> Finding:
    problem = failure["message"].splitlines()[0]
    ids = failure.get("example_ids") or []
    rate = failure.get("learning_rate") or evidence.learning_rate
    precision = evidence.evals[-1].precision if evidence.evals else None
    if precision == "fp16":
        settings = "train.precision=auto"
    else:
        settings = f"train.learning_rate={rate / 3:.2g}" if rate else "train.precision=float32"
    seen = f" The batch held {len(ids)} examples, the first is {ids[0]}." if ids else ""
    return Finding(
        rule=RULE,
        severity="critical",
        title=f"training stopped at step {failure['step']:,}: {problem}",
        evidence={
            "step": failure["step"],
            "last_good_step": failure["last_good_step"],
            "example_ids": list(ids),
            "learning_rate": rate,
            "precision": precision,
            "sentence": f"After step {failure['last_good_step']:,} all was finite, in step "
            f"{failure['step']:,} {problem}.{seen}",
        },
        how_sure="certain: the number was not finite, and the update that would have spread it was not made",
        action=f"{evidence.retrain(settings)}; the last good step is in {evidence.run}/train/checkpoints",
        would_change="a training that passes this step with finite numbers",
    )
