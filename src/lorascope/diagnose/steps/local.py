"""Medians of the neighbourhood of each point of a curve. Shapes: P points."""

from collections.abc import Callable

import numpy as np

from lorascope.metrics.quantiles import median

_MAD_TO_SD = 1.4826  # of normal noise
_AT_ONCE = 1 << 16  # windows in memory at a time


def lower_bounds(values: np.ndarray, width: int) -> np.ndarray:
    """For each point a value that no median of `width` neighbours lies below, in one pass, [P].

    The smallest of its block of `width` points and of the two blocks beside it. A point that is not far above
    this is not far above the median either, so that medians are taken where they can matter.

    Args:
        values: Finite, [P], P >= 1.
        width: Of the windows that are meant, none of which ends further than `width` from its point.
    """
    least = np.minimum.reduceat(values, np.arange(0, len(values), width))
    padded = np.pad(least, 1, mode="edge")
    around = np.minimum(np.minimum(padded[:-2], least), padded[2:])
    return np.repeat(around, width)[: len(values)]


def medians_at(values: np.ndarray, at: np.ndarray, first: int, last: int) -> np.ndarray:
    """Median of the points from `first` to `last` around some points, the ends repeated outwards.

    Of an even number of points it is the upper of the two in the middle.

    Args:
        values: Finite, [P].
        at: Index of each point that is asked for.
        first: Where the window begins, relative to its point: -64 with a `last` of -1 are the 64 before.
        last: Its last point.
    """
    return _over_windows(values, at, first, last, _middle)


def spreads_at(values: np.ndarray, at: np.ndarray, first: int, last: int) -> np.ndarray:
    """Robust standard deviation of the same windows around their own trend, at least 1e-9.

        spread = 1.4826 median|residual - median residual|    residual = value - slope * place

    The slope is that between the medians of the two halves: a curve that falls within its window is not
    scattered by as much as it falls. Where no slope leaves less, there is none: a window that leaps has no
    trend.
    """
    num = last - first + 1
    half = num // 2

    def away(window: np.ndarray) -> np.ndarray:
        return _middle(np.abs(window - _middle(window)[:, None]))

    def spread(window: np.ndarray) -> np.ndarray:
        slope = (_middle(window[:, num - half :]) - _middle(window[:, :half])) / max(num - half, 1)
        return np.asarray(np.minimum(away(window), away(window - slope[:, None] * np.arange(num))))

    return np.asarray(np.maximum(_MAD_TO_SD * _over_windows(values, at, first, last, spread), 1e-9))


def _over_windows(
    values: np.ndarray, at: np.ndarray, first: int, last: int, of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    offsets = np.arange(first, last + 1)
    parts = [at[one : one + _AT_ONCE, None] + offsets for one in range(0, len(at), _AT_ONCE)]
    return np.concatenate([np.empty(0), *(of(values[np.clip(one, 0, len(values) - 1)]) for one in parts)])


def _middle(window: np.ndarray) -> np.ndarray:
    half = window.shape[1] // 2
    return np.asarray(np.partition(window, half, axis=1)[:, half])


def pooled(loss: np.ndarray, tokens: np.ndarray, least: int) -> np.ndarray:
    """Losses of neighbouring steps that have few tokens as one: their mean by tokens.

        block of a step = floor(tokens before it / least)

    Steps of `least` tokens and more stay what they are.

    Args:
        loss: Finite, nats per token of each step, [P].
        tokens: That each is the mean of, [P].
        least: Tokens a point should be the mean of, >= 1.
    """
    if (tokens >= least).all():
        return loss
    before = np.cumsum(tokens) - tokens
    starts = np.flatnonzero(np.diff(before // least, prepend=-1))
    return np.asarray(np.add.reduceat(loss * tokens, starts) / np.add.reduceat(tokens, starts))


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
    return np.stack([ends, median(loss[:whole].reshape(-1, width))], axis=1)
