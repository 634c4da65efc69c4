"""A training that lost on the way what it had learnt, and began again."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series

RULE = "setback"
_LEAST_EVALS = 3
_LEAST_RISE, _LEAST_NATS = 0.25, 0.1


def setback(evidence: Evidence) -> Outcome:
    """Find an evaluation after which rows that are trained on were predicted far worse than before.

    Signal: the train probe is at least 25 % and 0.1 nats above its best so far, shown at 1 - 0.05 / K, at any
        evaluation. Rows that are remembered have losses near 0, where any change is a large share.
        Rows that are trained on do not get worse by overfitting: a rate that is too high, a resume without
        the adapter's or the optimizer's state, or a batch of broken rows does this.
        Before the probe was below the base model's there was nothing to lose.
    Gate: 3 evaluations, 20 probe rows.
    Advice: what happened between the two evaluations.

    Source:
        Ours; `diverging` looks at the end of the log alone, and a curve that falls again hides the loss.
    """
    probe = need_series(RULE, evidence.probe, "train probe", _LEAST_EVALS)
    if isinstance(probe, NotRun):
        return probe
    rises = []
    for index in range(1, len(probe)):
        best = probe.best(before=index)
        if probe.steps[best] == 0:
            continue  # nothing had been gained yet that could be lost
        rise = probe.rise_from_best(index, best)
        share = rise.estimate / probe.loss(best)
        if rise.low > 0 and share >= _LEAST_RISE and rise.estimate >= _LEAST_NATS:
            rises.append((share, index, best, rise))
    if not rises:
        return None
    share, index, best, rise = max(rises, key=lambda one: one[0])
    before, after = probe.steps[index - 1], probe.steps[index]
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"the loss on training rows rose by {share:.0%} by step {after:,}",
        evidence={
            "step": after,
            "step_before": before,
            "best_step": probe.steps[best],
            "best_loss": probe.loss(best),
            "loss": probe.loss(index),
            "share": share,
            "low": rise.low,
            "high": rise.high,
            "num_evaluations": len(rises),
            "sentence": f"Train probe {probe.loss(best):.3f} after step {probe.steps[best]:,}, "
            f"{probe.loss(index):.3f} after step {after:,}: {rise.estimate:+.3f} nats per token "
            f"({rise.level:.1%} interval {rise.low:+.3f} to {rise.high:+.3f}).",
        },
        how_sure=f"paired over {rise.num:,} rows; overfitting does not do this to rows that are trained on",
        action=f"look at what happened between step {before:,} and {after:,}: a resume without its state, "
        f"broken rows, or a rate that is too high: {evidence.slower()}",
        would_change="a train probe that keeps what it gained",
    )
