"""How long examples are, and how long they may be."""

from collections.abc import Sequence

import numpy as np


def resolve_max_length(asked: str | int, lengths: Sequence[int] | np.ndarray, context: int | None) -> int:
    """Say how long an example may be.

    Args:
        asked: "auto", which is the 99.5th percentile of the lengths, always one of them, so that of fewer
            than 200 examples none is left out; or a number of tokens.
        lengths: Tokens of every example, not empty.
        context: The base model's limit in tokens, None where it has none.

    Returns:
        Tokens; never more than the context.
    """
    wanted = int(np.percentile(lengths, 99.5, method="higher")) if asked == "auto" else int(asked)
    return wanted if context is None else min(wanted, context)


def length_summary(lengths: Sequence[int] | np.ndarray) -> dict[str, object]:
    """Median, tail and a histogram of example lengths in tokens; counts per bin of equal width."""
    if not len(lengths):
        return {"num": 0}
    counts, edges = np.histogram(lengths, bins=min(30, max(1, len(np.unique(lengths)))))
    median, p90, p99 = np.percentile(lengths, [50, 90, 99])
    return {
        "num": len(lengths),
        "min": int(min(lengths)),
        "median": float(median),
        "p90": float(p90),
        "p99": float(p99),
        "max": int(max(lengths)),
        "histogram": {"counts": counts.tolist(), "edges": [round(float(edge), 2) for edge in edges]},
    }
