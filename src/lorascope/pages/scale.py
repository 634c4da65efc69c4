"""Values of one axis -> where they stand, and the round numbers that are marked on it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_HUGE, _TINY = 1e250, 1e-250


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: the values at its two ends, and the marks between them."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value stands along the axis.

        Args:
            value: A finite value, above 0 on a log axis.

        Returns:
            0 at the low end, 1 at the high end; outside [0, 1] for values beyond them.
        """
        if self.log:
            # Differences of logs: the quotient of two extreme values may be infinite.
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def linear_scale(values: Iterable[float], *, about: int = 5, snug: bool = False, zero: bool = False) -> Scale:
    """Build a linear axis for some values.

    Args:
        values: Finite values that must fit; none give an axis from 0 to 1.
        about: Wanted number of intervals between marks.
        snug: End the axis at the outermost values instead of at round numbers.
        zero: Take 0 in, as bars need.

    Returns:
        The axis, with 1, 2, 2.5 or 5 times a power of ten between its marks.
    """
    found = list(values) + ([0.0] if zero else [])
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    # Beyond these the length of the axis is no float, or too small for a step.
    low, high = (min(max(end, -_HUGE), _HUGE) for end in (low, high))
    whole = snug and all(float(value).is_integer() for value in found)
    if high - low < max(abs(low), abs(high), _TINY) * 1e-12:
        margin = 1.0 if whole and abs(low) < 1e9 else abs(low) * 0.05 if abs(low) > _TINY else 0.5
        low, high = low - margin, high + margin
    step = nice_step(high - low, about)
    if whole:
        step = max(1.0, float(math.ceil(step)))  # no mark between two steps of training
    if not snug:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # round: 3 * 0.1 is 0.30000000000000004
    digits = max(0, 3 - math.floor(math.log10(step)))
    return Scale(low, high, False, tuple(round(k * step, digits) for k in range(first, last + 1)))


def log_scale(values: Iterable[float]) -> Scale:
    """Build a logarithmic axis for some values.

    Args:
        values: Finite values; those not above 0 have no place on it and are left to the caller to show.

    Returns:
        The axis, marked at powers of ten, at 1-2-5 below three decades, and evenly below one.
    """
    found = [value for value in values if value > 0]
    low, high = (min(found), max(found)) if found else (1.0, 10.0)
    low, high = min(max(low, _TINY), _HUGE), max(min(high, _HUGE), _TINY)
    margin = 10 ** max((math.log10(high) - math.log10(low)) * 0.04, 0.01)
    low, high = low / margin, high * margin
    decades = math.log10(high) - math.log10(low)
    if decades < 1:
        evenly = linear_scale((low, high), snug=True).ticks
        return Scale(low, high, True, tuple(tick for tick in evenly if low <= tick <= high))
    factors = (1,) if decades > 3 else (1, 2, 5)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    stride = max(1, round(len(exponents) / 8)) if decades > 3 else 1
    marks = (float(f"{factor}e{exponent}") for exponent in exponents[::stride] for factor in factors)
    return Scale(low, high, True, tuple(mark for mark in marks if low <= mark <= high))


def nice_step(span: float, about: int) -> float:
    """The smallest round step that cuts a span into at most `about` intervals.

    Args:
        span: Length of the axis, > 0.
        about: Wanted number of intervals, >= 1.

    Returns:
        1, 2, 2.5 or 5 times a power of ten.
    """
    magnitude = 10.0 ** math.floor(math.log10(span / about))
    return next(
        factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude * about >= span * (1 - 1e-9)
    )
