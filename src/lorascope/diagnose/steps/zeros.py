"""Losses of exactly 0: which of them stand for something else. Shapes: P points."""

from dataclasses import dataclass

import numpy as np

_ZERO = 1e-6
_LOW = 0.05  # nats; from here a loss that is really falling is logged on its way to 0
_UNITS = 5  # the same in units of the last decimal that is printed
_MOST_DECIMALS = 4
_LOOKED_BACK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Zeros:
    """The zeros of a curve.

    Attributes:
        is_zero: Whether a loss is exactly 0, [P], bool.
        is_abrupt: Whether it is, and none of the last 3 losses above 0 before it was low, [P], bool: a loss
            that falls to 0 by itself is logged on its way there. Zeros before any other loss count as abrupt.
        at_end: Length of the unbroken run of zeros that ends the curve and begins abruptly; 0 for none.
    """

    is_zero: np.ndarray
    is_abrupt: np.ndarray
    at_end: int


def zeros_of(loss: np.ndarray) -> Zeros:
    """Tell the zeros of a curve that came abruptly from those that rounding made.

    Low is below 0.05, or below 5 units of the last decimal where losses are printed with fewer than two.

    Args:
        loss: As logged, [P].
    """
    is_zero = np.abs(loss) < _ZERO
    if not is_zero.any():
        return Zeros(is_zero=is_zero, is_abrupt=is_zero, at_end=0)
    above = np.flatnonzero(loss >= _ZERO)
    low = max(_LOW, _UNITS * _unit(loss[above]))
    lowest = loss[above]  # of a loss above 0 and the two such before it
    for back in range(1, _LOOKED_BACK):
        lowest[back:] = np.minimum(lowest[back:], loss[above[:-back]])
    before = np.searchsorted(above, np.arange(len(loss))) - 1
    is_abrupt = is_zero.copy()
    behind = is_zero & (before >= 0)
    is_abrupt[behind] = lowest[before[behind]] > low
    at_end = len(loss) - (int(above[-1]) + 1 if len(above) else 0)
    return Zeros(is_zero=is_zero, is_abrupt=is_abrupt, at_end=at_end if is_abrupt[-1] else 0)


def _unit(loss: np.ndarray) -> float:
    """The last decimal that losses are printed with, as in 0.1; 0 for more than four decimals."""
    for decimals in range(1, _MOST_DECIMALS + 1):
        if len(loss) and (np.abs(loss - np.round(loss, decimals)) < _ZERO).all():
            return float(10.0**-decimals)
    return 0.0
