"""The learning rate spent: its sum up to a step, the clock that a schedule does not bend."""

import numpy as np

from lorascope.diagnose.evidence import Evidence


def rate_spent(evidence: Evidence, steps: tuple[int, ...]) -> np.ndarray | None:
    """Sum of the learning rates up to each of some steps, those steps included.

    Args:
        evidence: With the training points of a run.
        steps: Of evaluations, S of them.

    Returns:
        The sums, [S]; None where some rate is not logged, or none is above 0.
    """
    rates = evidence.steps.learning_rate
    if not len(rates) or not np.isfinite(rates).all() or not rates.any():
        return None
    total = np.concatenate([[0.0], np.cumsum(rates)])
    return np.asarray(total[np.searchsorted(evidence.steps.step, steps, side="right")])
