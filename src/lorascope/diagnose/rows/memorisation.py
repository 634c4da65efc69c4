"""Whether training rows can be told from others by their gains. Shapes: M probe rows, N validation rows."""

import math

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.diagnose.rows.gates import need_both
from lorascope.diagnose.series import Series
from lorascope.metrics.quantiles import quantiles

RULE = "memorisation"
_LEAST_ROWS = 50
_WARN = 0.70
_Z95 = 1.96
_HIGH = 0.95
_SHOWN = 5


def memorisation(evidence: Evidence) -> Outcome:
    """Find rows that were remembered rather than learnt from.

        A = P(gain of a random probe row > gain of a random validation row), ties half        gain per token

    Signal: the interval of A lies above 0.5. Info; warn from 0.70 on. Validation rows that gained more than
        95 % of the probe rows are listed: a paraphrase in training would do that, and hashes do not see it.
    Gate: the base was evaluated; validation is a random split of the same rows; 50 rows in both sets.
    Advice: read the listed rows.

    Source:
        Rule R18 and section 2.8 of docs/diagnose.md; the gain against the base calibrates away what is easy
        for any model (SPV-MIA, arXiv:2311.06062). Interval: DeLong et al. 1988, "Comparing the areas under
        two or more correlated receiver operating characteristic curves".
    """
    ready = need_both(RULE, evidence, 2)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    if validation.steps[0] != 0:
        return NotRun(rule=RULE, reason="the base model was not evaluated")
    if not _random_split(evidence):
        return NotRun(rule=RULE, reason="validation is not a random split of the training data")
    if min(validation.num_rows, probe.num_rows) < _LEAST_ROWS:
        reason = f"{min(validation.num_rows, probe.num_rows)} rows are shared, {_LEAST_ROWS} are needed"
        return NotRun(rule=RULE, reason=reason)
    gain_M, gain_N = _gain_per_token(probe), _gain_per_token(validation)
    area, stderr = area_above(gain_M, gain_N)
    low, high = max(0.0, area - _Z95 * stderr), min(1.0, area + _Z95 * stderr)
    if low <= 0.5:
        return None
    listed = _like_training(evidence, gain_M, gain_N)
    severity: Severity = "warn" if area >= _WARN else "info"
    return Finding(
        rule=RULE,
        severity=severity,
        title=f"training rows can be told from validation rows: {area:.0%} of pairs",
        evidence={
            "auc": area,
            "low": low,
            "high": high,
            "validation_like_training": listed,
            "num_rows": validation.num_rows,
            "sentence": f"A training row gained more per token than a validation row in {area:.1%} of all "
            "pairs (95 % "
            f"interval {low:.1%} to {high:.1%}; 50 % where nothing is remembered).",
        },
        how_sure="gains on the base model, so rows that are easy for any model do not count; a few epochs "
        "do this "
        "without harm",
        action=f"read the validation rows that gained like training rows: {', '.join(listed)}"
        if listed
        else "fewer epochs or more data, if rows must not be remembered",
        would_change="an interval that includes 50 %",
    )


def area_above(score_M: np.ndarray, score_N: np.ndarray) -> tuple[float, float]:
    """Mann-Whitney area with DeLong's standard error.

    Args:
        score_M: Of the rows that should score higher, [M].
        score_N: Of the others, [N].
    """
    order_M, order_N = np.sort(score_M), np.sort(score_N)
    below_M = _below(order_N, score_M)  # of each probe row: share of validation rows beneath it
    above_N = 1 - _below(order_M, score_N)
    area = float(below_M.mean())
    variance = below_M.var(ddof=1) / len(score_M) + above_N.var(ddof=1) / len(score_N)
    return area, math.sqrt(float(variance))


def _below(sorted_values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of the sorted values below each score, ties counted half."""
    left = np.searchsorted(sorted_values, scores, side="left")
    right = np.searchsorted(sorted_values, scores, side="right")
    return np.asarray((left + right) / 2 / len(sorted_values))


def _gain_per_token(series: Series) -> np.ndarray:
    used_N = series.num_tokens_N > 0
    return np.asarray((series.nll_EN[0] - series.nll_EN[-1])[used_N] / series.num_tokens_N[used_N])


def _random_split(evidence: Evidence) -> bool:
    """Whether prepare drew validation from the rows of training."""
    prepare = evidence.prepare
    if prepare is None or prepare.get("held_out_file"):
        return False
    return not any(one.get("held_out") or one.get("own_splits") for one in prepare.get("sources", ()))


def _like_training(evidence: Evidence, gain_M: np.ndarray, gain_N: np.ndarray) -> list[str]:
    """Ids of the validation rows that gained more than nearly all probe rows."""
    ids = evidence.validation_ids
    series = evidence.validation
    if not ids or series is None:
        return []
    usable = [one for one, tokens in zip(ids, series.num_tokens_N, strict=False) if tokens > 0]
    over = np.flatnonzero(gain_N > quantiles(gain_M, (_HIGH,))[0])
    ranked = over[np.argsort(-gain_N[over], kind="stable")]
    return [usable[index] for index in ranked[:_SHOWN] if index < len(usable)]
