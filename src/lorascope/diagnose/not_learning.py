"""A training loss that does not fall."""

import itertools
import math
from statistics import median

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.errors import command

RULE = "not_learning"
_MIN_STEPS = 20
_LEAST_FALL = 0.03
_LOW_RATE = 1e-5  # a tenth of the lowest rate that LoRA papers and tools start from


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
    losses = [one.loss for one in evidence.after_warmup if one.loss is not None and one.loss > 0]
    if len(losses) < _MIN_STEPS:
        reason = f"{len(losses)} steps since the end of warmup, {_MIN_STEPS} are needed"
        return NotRun(rule=RULE, reason=reason)
    probe = evidence.probe
    if probe is None or len(probe) < 2 or probe.num_rows < 2:
        return NotRun(rule=RULE, reason="the train probe was not evaluated twice")
    tenth = len(losses) // 10
    first, last = median(losses[:tenth]), median(losses[-tenth:])
    change = probe.change(0, len(probe) - 1)
    if last < (1 - max(_LEAST_FALL, _by_chance(losses, tenth))) * first or change.high < 0:
        return None
    rate = evidence.learning_rate or 0.0
    action = (
        f"raise the learning rate: {evidence.retrain(f'train.learning_rate={max(10 * rate, 1e-4):.2g}')}"
        if rate < _LOW_RATE
        else f"look at what is trained on: {command('check', evidence.run, '--show', 3)}"
    )
    return Finding(
        rule=RULE,
        severity="warn",
        title="the training loss does not fall",
        evidence={
            "first_tenth_loss": first,
            "last_tenth_loss": last,
            "fall": 1 - last / first if first else 0.0,
            "probe_change": change.estimate,
            "probe_low": change.low,
            "probe_high": change.high,
            "learning_rate": rate,
            "sentence": f"Median loss {first:.3f} in the first tenth of {len(losses):,} steps and {last:.3f} "
            f"in the last; the train probe moved by {change.estimate:+.4f} nats per token (95 % interval "
            f"{change.low:+.4f} to {change.high:+.4f}).",
        },
        how_sure=f"paired over {change.num:,} probe rows; a base that already knows the answers looks the "
        "same",
        action=action,
        would_change="a train probe whose interval lies below 0",
    )


def _by_chance(losses: list[float], num: int) -> float:
    """Two standard errors of the difference of two medians of `num` losses, relative.

    A difference of two steps has sqrt(2) times the spread of one and no trend to speak of; a median has
    1.2533 times the standard error of a mean.
    """
    logs = [math.log(one) for one in losses]
    spread = 1.4826 * median(abs(b - a) for a, b in itertools.pairwise(logs)) / math.sqrt(2)
    return 2 * 1.2533 * spread * math.sqrt(2 / num)
