"""A loss or gradient that is not a number, or a 0 that another trainer wrote in its place."""

from typing import Any

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import SEVERITIES, Finding, Outcome, Severity
from lorascope.diagnose.logs.curve import TrainPoints
from lorascope.diagnose.steps.gates import need_likelihood
from lorascope.diagnose.steps.zeros import Zeros, zeros_of

RULE = "non_finite"
_SKIPS_ALLOWED = 0.01
_MOST = 0.50
_TOO_LOW_TO_OPEN = 1e-4
_OPENING = 3
_RUN = 3  # zeros: fewer may be an accident of the logger


def non_finite(evidence: Evidence) -> Outcome:
    """Find NaN and infinity in the log, and the 0.0 that stands for them.

    Signal: train/failure.json; a loss that is not finite; a loss of exactly 0 beside a gradient that is not
        finite, or in three points and more up to the end, or in half of the points, where the losses before
        it were not small; or three opening losses below 1e-4. Three such zeros elsewhere are a warn, one or
        two info; zeros that the curve came down to are rounding, info. A gradient norm that is not finite
        beside a finite loss is fp16's loss scaler skipping a step: info below 1 % of the points, warn above,
        critical from half on. An evaluation loss that is not finite is critical where it is the last one or
        half of them are, because nothing is then known of what the training came to; else warn, and the rest
        is judged.
    Gate: none; one such number is enough. Zeros are passed over where the loss is no likelihood: rewards are
        logged, or losses below 0.
    Advice: lower the learning rate, or leave fp16; for zeros look at the labels.

    Source:
        Rules R1 and R2 of docs/diagnose.md: transformers 5.23 logs a NaN step as 0.0 and returns normally;
        our loop stops before the update and writes null with its reason.
    """
    steps = evidence.steps
    if evidence.failure is not None or (evidence.log is None and steps.loss_not_finite.any()):
        return _stopped(evidence, evidence.failure or _as_failure(evidence))
    if steps.loss_not_finite.any():
        return _losses(evidence)
    found = (_zeros(evidence), _evaluations(evidence), _gradients(evidence))
    graded = (one for one in found if one is not None)
    return max(graded, key=lambda one: SEVERITIES.index(one.severity), default=None)


def _as_failure(evidence: Evidence) -> dict[str, Any]:
    at = int(np.argmax(evidence.steps.loss_not_finite))
    step = int(evidence.steps.step[at])
    return {
        "step": step,
        "last_good_step": step - 1,
        "message": "the loss is not finite",
        "example_ids": [],
        "learning_rate": float(evidence.steps.learning_rate[at]),
    }


def _stopped(evidence: Evidence, failure: dict[str, Any]) -> Finding:
    problem = failure["message"].splitlines()[0]
    ids = failure.get("example_ids") or []
    precision = evidence.evals[-1].precision if evidence.evals else None
    again = (
        evidence.retrain(precision="auto")
        if precision == "fp16"
        else evidence.slower(rate=failure.get("learning_rate"))
    )
    held = f"{counted(len(ids), 'example')}, {'' if len(ids) == 1 else 'the first is '}"
    seen = f" The batch held {held}{ids[0]}." if ids else ""
    return Finding(
        rule=RULE,
        severity="critical",
        title=f"training stopped at step {failure['step']:,}: {problem}",
        evidence={
            "step": failure["step"],
            "last_good_step": failure["last_good_step"],
            "example_ids": list(ids),
            "learning_rate": failure.get("learning_rate") or evidence.learning_rate,
            "precision": precision,
            "sentence": f"After step {failure['last_good_step']:,} all was finite, in step "
            f"{failure['step']:,} {problem}.{seen}",
        },
        how_sure="certain: the number was not finite, and the update that would have spread it was not made",
        action=f"{again}; the last good step is in {evidence.run}/train/checkpoints",
        would_change="a training that passes this step with finite numbers",
    )


def _losses(evidence: Evidence) -> Finding:
    """Training losses that another trainer logged."""
    broken = evidence.steps.loss_not_finite
    step_broken, word = evidence.steps.step[broken], evidence.step_word
    first = f"{word} {int(step_broken[0]):,}"
    sound = _sound_after(evidence, int(step_broken[-1]))
    return _logged(
        evidence,
        "losses",
        len(broken),
        step_broken,
        severity="critical",
        how_sure=f"certain that it was logged; {_shown_after(evidence, int(step_broken[-1]))}"
        if sound
        else "certain: that is what was logged; weights that a NaN has reached do not recover",
        action=f"look at what was computed at {first}: its rows, and whether fp16 overflowed"
        if sound
        else f"go back to a checkpoint before {first} and {evidence.slower()}, in bf16 or float32",
    )


def _logged(
    evidence: Evidence,
    what: str,
    num_points: int,
    step_broken: np.ndarray,
    *,
    severity: Severity,
    how_sure: str,
    action: str,
) -> Finding:
    """A finding on numbers that another trainer logged, `step_broken` where they are not finite."""
    num, step, word = len(step_broken), int(step_broken[0]), evidence.step_word
    told = "is not finite, that of" if num == 1 else "are not finite, the first at"
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"{num:,} of {num_points:,} {what} {told} {word} {step:,}",
        evidence={
            "num_not_finite": num,
            "num_points": num_points,
            "share": num / num_points,
            "first_step": step,
            "last_step": int(step_broken[-1]),
            "sentence": f"NaN or infinity was logged {_times(num)}, {'' if num == 1 else 'first '}at {word} "
            f"{step:,}.",
        },
        how_sure=how_sure,
        action=action,
        would_change="a log whose numbers are all finite",
    )


def _times(num: int) -> str:
    return "once" if num == 1 else f"{num:,} times"


def _sound_after(evidence: Evidence, step: int) -> bool:
    """Whether training losses were logged after a step, all of them finite and not the 0 of a NaN."""
    later = evidence.steps.step > step
    loss, norm = evidence.steps.loss[later], evidence.steps.grad_norm_not_finite[later]
    return bool(len(loss) and np.isfinite(loss).all() and (loss > 0).all() and not norm.any())


def _shown_after(evidence: Evidence, step: int) -> str:
    """What finite training losses after a step show of the weights: trainers may pass over a NaN."""
    later = evidence.steps.step > step
    if np.isfinite(evidence.steps.grad_norm[later]).any():
        return (
            "every training loss and gradient norm logged after it is finite, and weights that a NaN has "
            "reached do not recover"
        )
    return (
        "the training losses logged after it are finite, which does not show that the weights are: no "
        "gradient norm is logged, and a trainer may leave NaN out of the losses that it logs, as "
        "logging_nan_inf_filter of transformers does"
    )


def _zeros(evidence: Evidence) -> Finding | None:
    """Zeros in place of NaN, or of a loss over no token; or mere rounding, which is told apart."""
    steps = evidence.steps
    if not len(steps) or need_likelihood(RULE, evidence) is not None:
        return None
    zeros = zeros_of(steps.loss)
    disguised = zeros.is_zero & steps.grad_norm_not_finite
    opening = steps.loss[:_OPENING]
    nothing = bool((np.abs(opening) < _TOO_LOW_TO_OPEN).all())
    abrupt = int(zeros.is_abrupt.sum())
    proof = disguised.any() or nothing or zeros.at_end >= _RUN or abrupt >= _MOST * len(steps)
    if proof or abrupt >= _RUN:
        return _disguise(evidence, zeros, disguised, nothing, "critical" if proof else "warn")
    return _single(evidence, zeros.is_abrupt) or _rounded(evidence, zeros.is_zero & ~zeros.is_abrupt)


def _disguise(
    evidence: Evidence, zeros: Zeros, disguised: np.ndarray, nothing: bool, severity: Severity
) -> Finding:
    steps = evidence.steps
    num, num_disguised = int(zeros.is_zero.sum()), int(disguised.sum())
    still = num > 0 and bool((steps.grad_norm[zeros.is_zero] == 0).all())
    from_labels = not num_disguised and (nothing or still)
    told = _exactly_0(num, len(steps)) if num else f"the first loss is {steps.loss[0]:.1g}"
    if zeros.at_end >= _RUN and not nothing:
        since = f"from {evidence.step_word} {steps.step[-zeros.at_end]:,.0f} to the end"
        told += f", {'all' if num == zeros.at_end else f'{zeros.at_end:,} of them'} {since}"
    cause = (
        "a loss over no target token is 0: every label may be masked"
        if from_labels
        else "transformers logs a step whose loss is NaN as 0.0"
    )
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"{told}: {cause}",
        evidence={
            "num_zero": num,
            "num_zero_beside_nan": num_disguised,
            "num_zero_at_end": zeros.at_end,
            "num_points": len(steps),
            "first_loss": float(steps.loss[0]),
            "sentence": f"{told}; {_beside(steps, num_disguised)}.",
        },
        how_sure="certain that no likelihood of text is 0 beside losses that are not small; which of the "
        "two causes it has, the gradient tells" + ("" if _logs_gradients(steps) else ", which is not logged"),
        action=evidence.look_at_data() if from_labels else f"{evidence.slower()}, in bf16 or float32",
        would_change="losses above 0",
    )


def _logs_gradients(steps: TrainPoints) -> bool:
    return bool((np.isfinite(steps.grad_norm) | steps.grad_norm_not_finite).any())


def _exactly_0(num: int, total: int) -> str:
    return f"{num:,} of {total:,} losses {'is' if num == 1 else 'are'} exactly 0"


def _beside(steps: TrainPoints, num_disguised: int) -> str:
    """What the gradient says of zeros; that it says nothing where it is not logged."""
    if not _logs_gradients(steps):
        return "no gradient norm is logged beside them"
    return f"beside {num_disguised:,} of them the gradient norm is not finite"


def _single(evidence: Evidence, is_abrupt: np.ndarray) -> Finding | None:
    """A zero or two among losses that are not small: a hiccup of the logger, or a batch without a target."""
    steps, num = evidence.steps, int(is_abrupt.sum())
    if not num:
        return None
    step, word = float(steps.step[int(np.argmax(is_abrupt))]), evidence.step_word
    share = _exactly_0(num, len(steps))
    return Finding(
        rule=RULE,
        severity="info",
        title=f"{share}, {'' if num == 1 else 'first '}at {word} {step:,.0f}",
        evidence={
            "num_zero": num,
            "num_points": len(steps),
            "first_step": step,
            "sentence": f"{share}, among losses that are not small; {_beside(steps, 0)}.",
        },
        how_sure="certain that it is no likelihood of text; a NaN that was logged as 0, a batch without "
        "target tokens and an accident of the logger look the same",
        action=f"look at the rows of that {word}: {evidence.look_at_data()}",
        would_change=f"further zeros: from {_RUN} on this is a warning",
    )


def _rounded(evidence: Evidence, rounded: np.ndarray) -> Finding | None:
    """Zeros that the curve came down to: nothing is wrong with them but the log's decimals."""
    num, total = int(rounded.sum()), len(rounded)
    if not num:
        return None
    step = float(evidence.steps.step[int(np.argmax(rounded))])
    return Finding(
        rule=RULE,
        severity="info",
        title=f"{num:,} of {total:,} losses {'is' if num == 1 else 'are'} below what the log prints",
        evidence={
            "num_zero": num,
            "num_points": total,
            "sentence": f"From {evidence.step_word} {step:,.0f} on {counted(num, 'loss is', 'losses are')} "
            "printed as 0, after losses that came down to it.",
        },
        how_sure="the losses before them are small, so rounding explains them; a NaN would come at once",
        action="none is needed; a loss this low on training rows says that they are known by heart",
        would_change="a gradient norm that is not finite beside such a 0",
    )


def _evaluations(evidence: Evidence) -> Finding | None:
    """Evaluation losses that are not finite beside training losses that are."""
    if evidence.log is None or not evidence.log.evals.loss_not_finite.any():
        return None
    evals = evidence.log.evals
    evals = evals.where(np.isfinite(evals.loss) | evals.loss_not_finite)  # others measured no loss
    broken = evals.loss_not_finite
    grave, first = bool(broken[-1]) or broken.mean() >= _MOST, int(evals.step[broken][0])
    sound = _sound_after(evidence, first)
    rows = "evaluation rows: a batch without a target token, all labels masked, has a loss of NaN"
    return _logged(
        evidence,
        "evaluation losses",
        len(broken),
        evals.step[broken],
        severity="critical" if grave else "warn",
        how_sure=f"certain that it was logged; {_shown_after(evidence, first)}"
        if sound
        else "certain that it was logged; no training loss follows it, so that weights may be broken too",
        action=f"look at the {rows}; then evaluate in bf16 or float32"
        + ("" if sound else f"; if training rows are NaN too, {evidence.slower()}"),
    )


def _gradients(evidence: Evidence) -> Finding | None:
    skipped = evidence.steps.grad_norm_not_finite
    num, total = int(skipped.sum()), len(skipped)
    if not num:
        return None
    share, step = num / total, int(evidence.steps.step[int(np.argmax(skipped))])
    severity: Severity = "info" if share < _SKIPS_ALLOWED else "warn" if share < _MOST else "critical"
    what = (
        f"steps {'was' if num == 1 else 'were'} skipped by the fp16 loss scaler"
        if evidence.log is None
        else f"gradient norms {'is' if num == 1 else 'are'} not finite"
    )
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"{num:,} of {total:,} {what}",
        evidence={
            "num_skipped": num,
            "num_steps": total,
            "share": share,
            "first_step": step,
            "sentence": f"The gradient overflowed first in step {step:,}, the loss stayed finite.",
        },
        how_sure="counted, not estimated; below 1 % of the steps this is how fp16 works",
        action=f"use bf16 or float32: {evidence.retrain(precision='auto')}"
        if evidence.log is None
        else "train in bf16 or float32",
        would_change="a training in bf16 or float32, where every gradient must be finite",
    )
