"""A training loss that climbs and does not come back."""

import math
from statistics import median

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.gates import MIN_EVALS, need_evals, need_rows

RULE = "diverging"
_RECENT, _BEFORE, _TAIL = 32, 64, 8
_MAD_TO_SD = 1.4826  # of normal noise
_LEAST_RISE = 0.03


def divergence(evidence: Evidence) -> Outcome:
    """Find a training that comes apart.

    Signal, either of two. (a) The median log loss of the newest 32 steps lies more than 3 robust standard
        deviations above that of the 64 before, and so does that of the newest 8: it is not recovering. (b)
        The train probe is above its best evaluation by at least 3 %, shown at 1 - 0.05 / K, twice in a row.
    Gate: (a) 96 steps after warmup; (b) 5 evaluations, 20 probe rows.
    Advice: a third of the learning rate.

    Source:
        Rule R9 of docs/diagnose.md. Log losses and medians, because batch losses are skewed: z > 3 on
        raw losses fires 11 to 40 times in 1,000 healthy steps. The 3 % is ours: a minimum over evaluations is
        always followed by small rises that pairing can show and nobody needs to know.
    """
    logs = [math.log(one.loss) for one in evidence.after_warmup if one.loss is not None and one.loss > 0]
    by_steps = len(logs) >= _RECENT + _BEFORE
    if by_steps and (found := _in_steps(evidence, logs)):
        return found
    probe = evidence.probe
    missing = need_rows(RULE, probe, "train probe")
    if missing is None and probe is not None:
        missing = need_evals(RULE, probe, MIN_EVALS)
    if missing is None:
        return _in_probe(evidence)
    if by_steps:
        return None
    return NotRun(
        rule=RULE, reason=f"{missing.reason}; {len(logs)} of {_RECENT + _BEFORE} steps after warmup"
    )


def _in_steps(evidence: Evidence, logs: list[float]) -> Finding | None:
    before, recent = logs[-_RECENT - _BEFORE : -_RECENT], logs[-_RECENT:]
    centre = median(before)
    spread = max(_MAD_TO_SD * median(abs(one - centre) for one in before), 1e-9)
    height = (median(recent) - centre) / spread
    if height <= 3 or (median(recent[-_TAIL:]) - centre) / spread <= 3:
        return None
    low, high = math.exp(centre), math.exp(median(recent))
    return _finding(
        evidence,
        f"the training loss climbed from {low:.3f} to {high:.3f}",
        {
            "before": low,
            "recent": high,
            "robust_deviations": height,
            "sentence": f"Median loss {low:.3f} over {_BEFORE} steps, then {high:.3f} over the newest "
            f"{_RECENT}: {height:.1f} robust standard deviations up, and not coming back.",
        },
        "medians of 64 and 32 steps; a median of 32 strays by 0.2 deviations by chance, this is more than 3",
    )


def _in_probe(evidence: Evidence) -> Finding | None:
    probe = evidence.probe
    assert probe is not None, "the gate was passed"
    last, best = len(probe) - 1, probe.best()
    if best >= last - 1:
        return None
    now, before = probe.rise_from_best(last, best), probe.rise_from_best(last - 1, best)
    share = now.estimate / probe.loss(best)
    if now.low <= 0 or before.low <= 0 or share < _LEAST_RISE:
        return None
    return _finding(
        evidence,
        f"the loss on training rows rose by {share:.0%} since step {probe.steps[best]:,}",
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
        f"paired over {now.num:,} rows, twice in a row, corrected for {last} earlier evaluations",
    )


def _finding(evidence: Evidence, title: str, numbers: dict[str, object], how_sure: str) -> Finding:
    rate = evidence.learning_rate
    settings = [f"train.learning_rate={rate / 3:.2g}"] if rate else []
    return Finding(
        rule=RULE,
        severity="critical",
        title=title,
        evidence=numbers,
        how_sure=how_sure,
        action=f"lower the learning rate: {evidence.retrain(*settings)}",
        would_change="a loss that comes back to where it was",
    )
