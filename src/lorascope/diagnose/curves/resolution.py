"""What rise of a logged evaluation loss could be told from noise."""

import math

from lorascope.diagnose.curves.logged import ABOVE_DEVIATIONS, need_curve
from lorascope.diagnose.curves.overfitting import overfit_by_shape
from lorascope.diagnose.curves.setback import lost_at, without_leap
from lorascope.diagnose.evidence import Evidence, Json
from lorascope.diagnose.finding import NotRun


def logged_visible_rise(evidence: Evidence) -> Json | None:
    """The smallest rise of evaluation loss that the noise of this curve does not explain.

    The leap of a setback is no noise. Nothing is told where the shape shows overfitting that the noise would
    hide: of so few evaluations it is that of their turn.

    Returns:
        "nats", "share" of the loss, "num_rows" (None: a log does not say) and the "sentence"; None where too
        few evaluations are logged to tell their noise.
    """
    curve = need_curve("resolution", evidence)
    if isinstance(curve, NotRun) or not math.isfinite(curve.noise):
        return None
    if overfit_by_shape(evidence, curve) and not curve.stays_above(curve.best()):
        return None
    if lost_at(evidence) is not None:
        curve = without_leap(curve)
    share, loss = math.expm1(curve.visible_rise()), float(curve.loss_E[-1])
    return {
        "nats": share * loss,
        "share": share,
        "num_rows": None,
        "sentence": f"a rise of {share:.1%} that stays: {ABOVE_DEVIATIONS:g} standard errors of a difference "
        f"at a noise of {curve.noise:.1%} an evaluation, and 1 % at least",
    }
