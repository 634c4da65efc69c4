"""Medians of the neighbourhood of each point of a curve. Shapes: P points."""

import numpy as np

_MAD_TO_SD = 1.4826  # of normal noise
_FEW = 16  # one point of so many: windows of their own are then cheaper than one pass over the curve


def local_median(values: np.ndarray, width: int) -> np.ndarray:
    """Median of the `width` points around each point, the ends repeated outwards, [P]."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(values, size=width, mode="nearest"))


def past_median(values: np.ndarray, width: int) -> np.ndarray:
    """Median of the `width` points before each point, itself not among them, [P].

    Of an even width it is the upper of the two in the middle.

    Args:
        values: Finite, [P].
        width: Of the window; the first `width` points have a part of one, the very first itself alone.
    """
    from scipy.ndimage import median_filter

    shift = (width - 1) // 2  # moves a centred window back until it ends at its own point
    return np.asarray(median_filter(_before(values), size=width, mode="nearest", origin=shift))


def past_spread(values: np.ndarray, centre: np.ndarray, width: int, at: np.ndarray) -> np.ndarray:
    """Robust standard deviation of the `width` points before some points.

    Args:
        values: Finite, [P].
        centre: Of `past_median`, [P].
        width: As there.
        at: Index of each point that is asked for; few of them cost little.

    Returns:
        1.4826 times the median of |value - its own median| over the window, at least 1e-9, one for each of
        `at`.
    """
    away = np.abs(values - centre)
    if len(at) * _FEW > len(values):
        spread = past_median(away, width)[at]
    else:
        window = np.maximum(at[:, None] - np.arange(1, width + 1), 0)
        spread = np.partition(away[window], width // 2, axis=1)[:, width // 2]
    return np.asarray(np.maximum(_MAD_TO_SD * spread, 1e-9))


def medians_of_neighbours(step: np.ndarray, loss: np.ndarray, most: int) -> np.ndarray:
    """A curve to draw: blocks of neighbours by their median, at the last step of each.

    Args:
        step: Of each point, [P].
        loss: Finite, [P].
        most: Points from which on neighbours are joined; fewer than twice as many come back.

    Returns:
        Step and loss of each whole block, [blocks, 2].
    """
    width = max(1, len(loss) // most)
    whole = len(loss) // width * width
    ends = step[:whole].reshape(-1, width)[:, -1]
    return np.stack([ends, np.median(loss[:whole].reshape(-1, width), axis=1)], axis=1)


def _before(values: np.ndarray) -> np.ndarray:
    """Each point's predecessor, the first one's own."""
    return np.concatenate([values[:1], values[:-1]])
