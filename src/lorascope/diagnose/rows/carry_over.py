"""How much of what was learnt on training rows carries over to others. Shapes: N rows, R resamples."""

import functools

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import need_both
from lorascope.diagnose.series import Series
from lorascope.metrics.quantiles import quantiles

RULE = "carry_over"
_RESAMPLES = 2000
_MOSTLY, _WELL = 0.5, 0.8


def carry_over(evidence: Evidence) -> Outcome:
    """Find what share of the gain on training rows is gained on validation rows.

        G = loss of the base - loss now        rho = G of validation / G of the train probe

    Signal: warn where the interval of rho lies below 0.5 (mostly memorised) or below 0 (harming); info else.
    Gate: the base was evaluated (step 0), 20 rows in both sets, and a gain on the probe shown above 0.
    Advice: fewer epochs, more data, a smaller rank.

    Source:
        Rule R15 and section 2.6 of docs/diagnose.md: percentile interval over rows resampled in both sets,
        2,000 times from a fixed seed.
    """
    ready = need_both(RULE, evidence, 2)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    last = len(validation) - 1
    if validation.steps[0] != 0:
        return NotRun(rule=RULE, reason="the base model was not evaluated")
    if probe.change(0, last).high >= 0:
        return NotRun(rule=RULE, reason="no gain on training rows is shown, so none can carry over")
    validation_RN, probe_RN = _resamples(len(validation.num_tokens_N), len(probe.num_tokens_N))
    gains_R = _resampled_gain(validation, last, validation_RN) / _resampled_gain(probe, last, probe_RN)
    gained, learnt = _gain(validation, last), _gain(probe, last)
    rho = gained / learnt
    low, high = (float(one) for one in quantiles(gains_R, (0.025, 0.975)))
    severity: Severity = "warn" if high < _MOSTLY else "info"
    return Finding(
        rule=RULE,
        severity=severity,
        title=_title(rho, low, high),
        evidence={
            "carry_over": rho,
            "low": low,
            "high": high,
            "gain_validation": gained,
            "gain_probe": learnt,
            "num_rows": validation.num_rows,
            "sentence": f"Validation gained {gained:+.3f} nats per token on the base, the train probe "
            f"{learnt:+.3f}: "
            f"{rho:.2f} of it carries over (95 % interval {low:.2f} to {high:.2f}).",
        },
        how_sure=f"{_RESAMPLES:,} resamples of the rows of both sets; near 1 it generalises, or the splits "
        "overlap",
        action="keep it so"
        if rho >= _WELL
        else "train for fewer epochs, on more data or with a smaller rank",
        would_change="more rows, which narrow the interval",
    )


def _title(rho: float, low: float, high: float) -> str:
    if high < 0:
        return "training rows gain and validation rows lose: what is learnt harms"
    if high < _MOSTLY:
        return f"mostly memorised: {rho:.0%} of the gain on training rows carries over"
    return f"{rho:.0%} of the gain on training rows carries over to validation"


def _gain(series: Series, last: int) -> float:
    return series.loss(0) - series.loss(last)


def _resampled_gain(series: Series, last: int, counts_RN: np.ndarray) -> np.ndarray:
    """The gain over rows drawn with replacement, [R]."""
    gain_N = series.nll_EN[0] - series.nll_EN[last]
    tokens_R = np.maximum(counts_RN @ series.num_tokens_N, 1)
    return np.asarray((counts_RN @ gain_N) / tokens_R)


@functools.lru_cache(maxsize=1)
def _resamples(*nums: int) -> tuple[np.ndarray, ...]:
    """How often each row of each set is drawn, [R, N] each; a training asks at every evaluation."""
    generator = np.random.default_rng(0)
    return tuple(
        generator.multinomial(num, np.full(num, 1 / num), size=_RESAMPLES).astype(np.uint16) for num in nums
    )
