"""Single rows that stay far behind all others: usually broken ones."""

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series
from lorascope.metrics.quantiles import quantiles

RULE = "hard_rows"
_LEAST_TOKENS = 8
_DEVIATIONS, _TIMES, _NATS = 4.0, 3.0, 4.0
_QUARTILE = 0.6745  # standard deviations between median and quartile of normal noise
_LISTED = 5


def hard_rows(evidence: Evidence) -> Outcome:
    """Find rows of the train probe whose loss stays far above that of all others.

        z = (loss per token of the row - median) / ((upper quartile - median) / 0.6745)

    Signal: of the rows with 8 target tokens and more, after the last evaluation: z > 4, 3 times the median,
        and above 4 nats per token, as if each were drawn from 55. Info: rare kinds of rows are among them.
    Gate: 20 probe rows of that length; their ids are on record.
    Advice: read them.

    Source:
        Ours. The upper quartile gives the scale, because losses of rows are skewed towards 0 and what is
        there says nothing about how far above is unusual. Training rows are scored, so that an answer that
        could not be known counts only where it could not be learnt either.
    """
    probe = need_series(RULE, evidence.probe, "train probe", 2)
    if isinstance(probe, NotRun):
        return probe
    ids = np.array(evidence.probe_ids[: len(probe.num_tokens_N)])
    long_N = probe.num_tokens_N >= _LEAST_TOKENS
    if len(ids) != len(long_N) or long_N.sum() < 20:
        return NotRun(rule=RULE, reason="fewer than 20 probe rows with 8 target tokens have ids on record")
    loss = probe.nll_EN[-1][long_N] / probe.num_tokens_N[long_N]
    centre, upper = (float(one) for one in quantiles(loss, (0.5, 0.75)))
    spread = (upper - centre) / _QUARTILE
    found = np.flatnonzero(loss > max(centre + _DEVIATIONS * spread, _TIMES * centre, _NATS))
    if not len(found):
        return None
    found = found[np.argsort(-loss[found])]
    named = [str(one) for one in ids[long_N][found[:_LISTED]]]
    return Finding(
        rule=RULE,
        severity="info",
        title=f"{len(found):,} training row{'s stay' if len(found) > 1 else ' stays'} far behind the others",
        evidence={
            "num_rows": len(found),
            "rows": named,
            "median_loss": centre,
            "largest_loss": float(loss[found[0]]),
            "num_scored": int(long_N.sum()),
            "sentence": f"{', '.join(named)}: up to {loss[found[0]]:.2f} nats per token, the median of "
            f"{int(long_N.sum()):,} rows is {centre:.3f}.",
        },
        how_sure="4 deviations, by the upper quartile, above the median; a rare kind of row does this too",
        action=f"read them: {named[0]}",
        would_change="rows that learn like the others",
    )
