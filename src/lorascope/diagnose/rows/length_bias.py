"""Losses that depend on the length of the answer."""

import itertools
from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.series import Series
from lorascope.metrics.quantiles import lower_quantiles
from lorascope.metrics.uncertainty import (
    MIN_CLUSTERS,
    Interval,
    independent_difference,
    paired_ratio_difference,
    ratio_interval,
)

RULE = "length_bias"
_BUCKETS = 4
_LEVEL = 1 - 0.05 / _BUCKETS  # four buckets are looked at
_WORTH_TELLING = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Rows of similar length.

    Attributes:
        first: Fewest target tokens.
        last: Most.
        loss: Nats per target token at the last evaluation.
        change: Since the first evaluation, paired.
    """

    first: int
    last: int
    loss: Interval
    change: Interval


def length_bias(evidence: Evidence) -> Outcome:
    """Find losses that differ by the length of the answer.

    Signal: of four buckets of validation rows by target tokens, the shortest and the longest differ in loss
        by 10 % and beyond their 95 % interval: info, because a comparison of sets of other lengths would
        mislead. Warn where a bucket got worse (shown at 1 - 0.05 / 4) while all rows together got better.
    Gate: two evaluations, 20 rows in each bucket.
    Advice: compare sets of the same lengths; for a bucket that got worse, its rows.

    Source:
        Ours; the last but one column of docs/diagnose.md. A mean of row losses, as many tools print, weighs
        short rows more and hides this.
    """
    validation = need_series(RULE, evidence.validation, "validation")
    if isinstance(validation, NotRun):
        return validation
    if len(validation) < 2 or validation.num_rows < _BUCKETS * MIN_CLUSTERS:
        rows = counted(validation.num_rows, "validation row")
        have = f"{rows} in {counted(len(validation), 'evaluation')}"
        return NotRun(rule=RULE, reason=f"{have}; {_BUCKETS * MIN_CLUSTERS} rows in 2 are needed")
    buckets = length_buckets(validation)
    if len(buckets) < 2:
        return NotRun(rule=RULE, reason="all validation rows have the same length")
    worse = [one for one in buckets if one.change.low > 0]
    if worse and validation.change(0, len(validation) - 1).high < 0:
        return _got_worse(evidence, buckets, worse[0])
    short, long = buckets[0], buckets[-1]
    difference = independent_difference(short.loss, long.loss)
    share = difference.estimate / short.loss.estimate if short.loss.estimate else 0.0
    if difference.low <= 0 <= difference.high or abs(share) < _WORTH_TELLING:
        return None
    which = "higher" if share > 0 else "lower"
    return Finding(
        rule=RULE,
        severity="info",
        title=f"long answers have a {abs(share):.0%} {which} loss than short ones",
        evidence={
            "buckets": _as_rows(buckets),
            "difference": difference.estimate,
            "low": difference.low,
            "high": difference.high,
            "sentence": f"{_told(buckets)} nats per token.",
        },
        how_sure=f"{validation.num_rows:,} rows in {len(buckets)} buckets; the first tokens of an answer "
        "are the hardest, "
        "so some of it is in the nature of things",
        action="compare losses and perplexities only between sets of the same lengths",
        would_change="rows of other lengths",
    )


def _got_worse(evidence: Evidence, buckets: list[Bucket], worst: Bucket) -> Finding:
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"answers of {worst.first} to {worst.last} tokens got worse while all together got better",
        evidence={
            "buckets": _as_rows(buckets),
            "rise": worst.change.estimate,
            "rise_low": worst.change.low,
            "sentence": f"{worst.change.estimate:+.4f} nats per token (interval {worst.change.low:+.4f} to "
            f"{worst.change.high:+.4f}). {_told(buckets)} nats per token.",
        },
        how_sure=f"paired over {worst.change.num:,} rows, corrected for {_BUCKETS} buckets",
        action="look at rows of that length, and at whether training has enough of them: "
        f"{evidence.look_at_data()}",
        would_change="more training rows of that length",
    )


def length_buckets(series: Series) -> list[Bucket]:
    """Quarters of the rows by target tokens; rows of the same length stay together."""
    tokens_N = series.num_tokens_N
    edges = lower_quantiles(tokens_N[tokens_N > 0], np.linspace(0, 1, _BUCKETS + 1))
    buckets = []
    for start, end in itertools.pairwise(edges):
        inside = (tokens_N >= start) & ((tokens_N <= end) if end == edges[-1] else (tokens_N < end))
        inside &= tokens_N > 0
        if inside.sum() < MIN_CLUSTERS:
            continue
        size_N = tokens_N[inside]
        before_N, after_N = series.nll_EN[0][inside], series.nll_EN[-1][inside]
        buckets.append(
            Bucket(
                first=int(size_N.min()),
                last=int(size_N.max()),
                loss=ratio_interval(after_N, size_N),
                change=paired_ratio_difference(before_N, after_N, size_N, _LEVEL),
            )
        )
    return buckets


def _told(buckets: list[Bucket]) -> str:
    return "; ".join(f"{one.first} to {one.last} tokens: {one.loss.estimate:.3f}" for one in buckets)


def _as_rows(buckets: list[Bucket]) -> list[dict[str, float]]:
    return [
        {
            "first": one.first,
            "last": one.last,
            "loss": one.loss.estimate,
            "change": one.change.estimate,
            "num_rows": one.loss.num,
        }
        for one in buckets
    ]
