"""What validation rows that training has seen do to the score."""

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.series import Series
from lorascope.errors import command
from lorascope.metrics.likelihood import perplexity
from lorascope.metrics.quantiles import quantiles
from lorascope.metrics.uncertainty import independent_difference, ratio_interval

RULE = "leak_price"
_LEAST_ROWS = 10
_LENGTH_BINS = 4
_Z95 = 1.96


def leak_price(evidence: Evidence) -> Outcome:
    """Find what leaked rows are worth to the validation score.

        price = (T_leak / T) (L_clean - L_leak)        the loss that leaked rows hide
        dynamic: mean gain on the base of leaked rows minus that of clean rows of the same length

    Signal: validation rows that prepare found in training (the same or nearly the same prompt and answer).
        Warn where they are shown to have gained more than clean rows of their length (95 %): they inflate the
        score; info where they are not.
    Gate: prepare's flags; 10 leaked and 20 clean rows among those scored; the base evaluated.
    Advice: prepare the data without them.

    Source:
        Rules R16 and R17 and section 2.7 of docs/diagnose.md. Length is matched in four bins of target
        tokens, weighted by the leaked rows in each.
    """
    validation = need_series(RULE, evidence.validation, "validation")
    if isinstance(validation, NotRun):
        return validation
    flagged = evidence.leaked
    if flagged is None:
        return NotRun(rule=RULE, reason="which validation rows training has seen is not on record")
    leaked_N = np.zeros(len(validation.num_tokens_N), dtype=bool)
    leaked_N[: len(flagged)] = flagged[: len(leaked_N)]
    leaked_N &= validation.num_tokens_N > 0
    clean_N = ~leaked_N & (validation.num_tokens_N > 0)
    if not leaked_N.any():
        return None
    if leaked_N.sum() < _LEAST_ROWS or clean_N.sum() < 2 * _LEAST_ROWS or validation.steps[0] != 0:
        reason = f"{leaked_N.sum()} leaked and {clean_N.sum()} clean rows are scored, 10 and 20 are needed"
        return NotRun(rule=RULE, reason=reason)
    return _finding(evidence, validation, leaked_N, clean_N)


def _finding(evidence: Evidence, validation: Series, leaked_N: np.ndarray, clean_N: np.ndarray) -> Finding:
    tokens_N, now_N = validation.num_tokens_N, validation.nll_EN[-1]
    clean, leaked = (ratio_interval(now_N[one], tokens_N[one]) for one in (clean_N, leaked_N))
    price = independent_difference(leaked, clean)
    weight = float(tokens_N[leaked_N].sum() / tokens_N.sum())
    all_rows = validation.loss(len(validation) - 1)
    gain_N = (validation.nll_EN[0] - now_N) / np.maximum(tokens_N, 1)
    extra, low, high = _matched(gain_N, tokens_N, leaked_N, clean_N)
    severity: Severity = "warn" if low > 0 else "info"
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"leaked rows lower the validation perplexity from {perplexity(clean.estimate):.2f} to "
        f"{perplexity(all_rows):.2f}",
        evidence={
            "num_leaked": int(leaked_N.sum()),
            "num_clean": int(clean_N.sum()),
            "loss_all": all_rows,
            "loss_clean": clean.estimate,
            "price": weight * price.estimate,
            "price_low": weight * price.low,
            "price_high": weight * price.high,
            "extra_gain": extra,
            "extra_gain_low": low,
            "extra_gain_high": high,
            "sentence": f"Perplexity {perplexity(all_rows):.3f} on all rows, "
            f"{perplexity(clean.estimate):.3f} on the "
            f"{clean_N.sum():,} clean ones; the {leaked_N.sum():,} leaked rows gained {extra:+.3f} nats per "
            "token more "
            f"than clean rows of their length (95 % interval {low:+.3f} to {high:+.3f}).",
        },
        how_sure="leaked rows may just be easier; the gain on the base, matched on length, takes that out",
        action="remove the repetitions and prepare again: "
        + command("prepare", "DATA", "--base", "MODEL", "--out", f"{evidence.run}-clean"),
        would_change="an extra gain whose interval includes 0",
    )


def _matched(
    gain_N: np.ndarray, tokens_N: np.ndarray, leaked_N: np.ndarray, clean_N: np.ndarray
) -> tuple[float, float, float]:
    """Mean extra gain of leaked rows over clean rows of the same length, with its 95 % interval."""
    edges = quantiles(tokens_N[leaked_N], np.linspace(0, 1, _LENGTH_BINS + 1))[1:-1]
    bin_N = np.searchsorted(edges, tokens_N, side="right")
    total, variance, weights = 0.0, 0.0, 0.0
    for one in range(_LENGTH_BINS):
        of_leaked, of_clean = gain_N[leaked_N & (bin_N == one)], gain_N[clean_N & (bin_N == one)]
        if len(of_leaked) < 2 or len(of_clean) < 2:
            continue
        total += len(of_leaked) * float(of_leaked.mean() - of_clean.mean())
        spread = of_leaked.var(ddof=1) / len(of_leaked) + of_clean.var(ddof=1) / len(of_clean)
        variance += len(of_leaked) ** 2 * float(spread)
        weights += len(of_leaked)
    if not weights:
        return 0.0, float("-inf"), float("inf")
    extra, half = total / weights, _Z95 * variance**0.5 / weights
    return extra, extra - half, extra + half
