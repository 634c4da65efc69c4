"""Rows that were trained on and are predicted worse than before."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import NotRun, Outcome
from lorascope.diagnose.rows.gates import MIN_EVALS, need_series
from lorascope.diagnose.steps.divergence import RULE, diverging_finding

_LEAST_RISE = 0.03
_LEAST_EVALS = 3  # the base model's and two


def probe_divergence(evidence: Evidence) -> Outcome:
    """Find a training that comes apart, in the losses of the train probe.

    Signal: the train probe is above its best evaluation by at least 3 %, shown at 1 - 0.05 / K, twice in a
        row; where the best is the base model's, which nobody picked out of several, at 95 %.
    Gate: 5 evaluations, 3 where the best is the base model's; 20 probe rows.
    Advice: a third of the learning rate.

    Source:
        Rule R9 of docs/diagnose.md. The 3 % is ours: a minimum over evaluations is always followed by small
        rises that pairing can show and nobody needs to know.
    """
    probe = need_series(RULE, evidence.probe, "train probe", _LEAST_EVALS)
    of_base = not isinstance(probe, NotRun) and probe.steps[probe.best()] == 0
    if not of_base:
        probe = need_series(RULE, evidence.probe, "train probe", MIN_EVALS)
    if isinstance(probe, NotRun):
        return probe
    last, best = len(probe) - 1, probe.best()
    if best >= last - 1:
        return None
    rise = probe.change if of_base else lambda start, end: probe.rise_from_best(end, start)
    now, before = rise(best, last), rise(best, last - 1)
    share = now.estimate / probe.loss(best)
    if now.low <= 0 or before.low <= 0 or share < _LEAST_RISE:
        return None
    return diverging_finding(
        evidence,
        f"the loss on training rows is {share:.0%} above that of the base model"
        if of_base
        else f"the loss on training rows rose by {share:.0%} since step {probe.steps[best]:,}",
        {
            "best_step": probe.steps[best],
            "last_step": probe.steps[last],
            "rise": now.estimate,
            "rise_low": now.low,
            "rise_high": now.high,
            "share": share,
            "sentence": f"Train probe {probe.loss(best):.3f} after step {probe.steps[best]:,}, "
            f"{probe.loss(last):.3f} after step {probe.steps[last]:,}: {now.estimate:+.3f} nats per token "
            f"({now.level:.1%} interval {now.low:+.3f} to {now.high:+.3f}).",
        },
        f"paired over {now.num:,} rows, twice in a row"
        + ("" if of_base else f", corrected for {last} earlier evaluations"),
    )
