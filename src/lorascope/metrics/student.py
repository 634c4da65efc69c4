"""Quantiles of Student's t, without scipy: loading it takes longer than reading a whole run."""

import math
from functools import lru_cache
from statistics import NormalDist

from lorascope.errors import UndefinedMetric

_MOST_ROUNDS = 100
_MOST_TERMS = 100_000
_TINY = 1e-300


@lru_cache(maxsize=1024)
def student_quantile(df: float, share: float) -> float:
    """The value that a t-distributed number stays below with this probability.

        P(T <= t) = 1 - I_x(df / 2, 1 / 2) / 2,    x = df / (df + t^2),  t >= 0

    Args:
        df: Degrees of freedom, > 0; a fraction is fine.
        share: Probability in (0, 1).

    Returns:
        The quantile, within 1e-10 of its size up to 100,000 degrees of freedom and 1e-8 up to a million, for
        tails down to 1e-6.

    Raises:
        UndefinedMetric: One of them is out of its range.

    Source:
        Newton's method on the upper tail, which is convex there, from the normal quantile, which lies below
        the root; the incomplete beta function by its continued fraction, DLMF 8.17.22.
    """
    if not (df > 0 and 0 < share < 1):
        raise UndefinedMetric(f"no quantile {share} of Student's t with {df} degrees of freedom")
    if share < 0.5:
        return -student_quantile(df, 1 - share)
    tail, value = 1 - share, NormalDist().inv_cdf(share)
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    for _ in range(_MOST_ROUNDS):
        density = math.exp(log_scale - (df + 1) / 2 * math.log1p(value * value / df))
        change = (_upper_tail(df, value) - tail) / density
        value += change
        if abs(change) <= 1e-13 * abs(value):
            break
    return value


def _upper_tail(df: float, value: float) -> float:
    """P(T > value) for value >= 0."""
    square = value * value
    return 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Regularised incomplete beta function I_x(a, b); `rest` is 1 - x, apart so that no digit is lost."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(log_front) / a / _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """1 + d_1 / (1 + d_2 / (1 + ...)) of DLMF 8.17.22, from the front by the modified method of Lentz."""
    fraction, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(1, _MOST_TERMS):
        m = term // 2
        if term % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / (1 + step * denominator or _TINY)
        numerator = 1 + step / numerator or _TINY
        change = numerator * denominator
        fraction *= change
        if abs(change - 1) < 1e-15:
            break
    return fraction
