"""An evaluation loss that has stopped moving, as logged."""

import numpy as np

from lorascope.diagnose.curves.logged import LoggedCurve, measure, need_curve
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.fall import noise

RULE = "plateau"
MARGIN = 0.015
"""Share of the loss within which a logged curve counts as flat."""

_WINDOW = 0.40
_LEAST = 3
_NO_BEST = 0.20
_Z90 = 1.645


def logged_plateau(evidence: Evidence) -> Outcome:
    """Find a plateau, from the curve alone.

    Signal: every evaluation over the last 40 % of the steps (three at least) lies within 1.5 % of the last,
        and no new best was reached in the last fifth of the steps: it is not merely slow.
    Gate: 4 evaluations; noise between the neighbours of the window that can conclude, 1.5 % / 1.645 at most.
    Advice: stop, or restart with a higher learning rate; where it was constant, let it run out. Where the
        rate was mostly below 10 % of its peak the loss is flat because the schedule ended: measure what was
        gained.

    Source:
        Rule R7 of docs/diagnose.md, the weak form. Readers of public logs call a curve healthy that still
        creeps to a new best at the end of its schedule, however slowly; so does this rule.
    """
    curve = need_curve(RULE, evidence)
    if isinstance(curve, NotRun):
        return curve
    start = _window(curve)
    tail = curve.loss_E[start:]
    if (np.abs(tail / tail[-1] - 1) > MARGIN).any():
        return None
    spread = noise(np.log(tail))
    if spread > MARGIN / _Z90:
        return NotRun(rule=RULE, reason=f"a noise of {spread:.1%} cannot tell flat from slowly moving")
    end = float(curve.step_E[-1])
    if curve.step_E[curve.best()] > (1 - _NO_BEST) * end and curve.rise(0, len(curve) - 1) < -0.01:
        return None
    since = int(curve.step_E[start])
    word, annealed = evidence.step_word, evidence.annealed(since)
    return Finding(
        rule=RULE,
        severity="info",
        title=f"evaluation loss is flat since {word} {since:,}"
        + (": the learning rate has run out" if annealed else ""),
        evidence={
            "kind": "curve_only",
            "first_step": since,
            "last_step": int(end),
            "loss": float(tail[-1]),
            "low": float(tail.min()),
            "high": float(tail.max()),
            "annealed": annealed,
            "sentence": f"{len(tail)} evaluations from {word} {since:,} on lie between {tail.min():.4g} and "
            f"{tail.max():.4g}, and the best of all was reached at {word} "
            f"{int(curve.step_E[curve.best()]):,}.",
        },
        how_sure=f"noise of {spread:.2%} between neighbours; from the curve alone",
        action=f"{measure('measure what it gained', evidence)}; for more, a schedule that runs out later"
        if annealed
        else evidence.rate_to_run_out()
        or "stop here and measure it, or start again with a higher learning rate",
        would_change="a new best by more than the noise",
    )


def _window(curve: LoggedCurve) -> int:
    """Index of the first evaluation that is looked at."""
    inside = int(np.argmax(curve.step_E >= (1 - _WINDOW) * curve.step_E[-1]))
    return max(0, min(inside, len(curve) - _LEAST))
