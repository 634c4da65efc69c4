"""A training loss that does not fall."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.steps.fall import LEAST_FALL, MIN_POINTS, fall, raise_or_look
from lorascope.diagnose.steps.gates import need_points

RULE = "not_learning"


def not_learning(evidence: Evidence) -> Outcome:
    """Find a training that learns nothing.

    Signal: the median loss of the last tenth of the steps is less than 3 % below that of the first, or by no
        more than two such medians differ by chance, and the loss of the train probe is not shown to have
        fallen since the first evaluation (95 %, paired).
    Gate: 20 steps after warmup, two evaluations.
    Advice: the learning rate where it is tiny, else the targets.

    Source:
        Rule R5 of docs/diagnose.md; both conditions, because batches differ and the probe does not. "By
        chance" is our addition: with batch noise of 5 % and 8 steps in a tenth, a flat loss falls by 3 % in
        one run of six.
    """
    missing = need_points(RULE, evidence, MIN_POINTS)
    if missing is not None:
        return missing
    probe = evidence.probe
    if probe is None or len(probe) < 2 or probe.num_rows < 2:
        return NotRun(rule=RULE, reason="the train probe was not evaluated twice")
    curve, change = fall(evidence.losses), probe.change(0, len(probe) - 1)
    if curve.share > max(LEAST_FALL, curve.by_chance) or change.high < 0:
        return None
    return Finding(
        rule=RULE,
        severity="warn",
        title="the training loss does not fall",
        evidence={
            "first_tenth_loss": curve.first,
            "last_tenth_loss": curve.last,
            "fall": curve.share,
            "probe_change": change.estimate,
            "probe_low": change.low,
            "probe_high": change.high,
            "learning_rate": evidence.learning_rate,
            "sentence": f"Median loss {curve.first:.3f} in the first tenth of {curve.num:,} steps and "
            f"{curve.last:.3f} "
            f"in the last; the train probe moved by {change.estimate:+.4f} nats per token (95 % interval "
            f"{change.low:+.4f} to {change.high:+.4f}).",
        },
        how_sure=f"paired over {change.num:,} probe rows; a base that already knows the answers looks the "
        "same",
        action=raise_or_look(evidence),
        would_change="a train probe whose interval lies below 0",
    )
