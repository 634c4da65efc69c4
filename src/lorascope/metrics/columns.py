"""One value per example, checked before any arithmetic touches it. Shapes: N = examples."""

import math

import numpy as np
import numpy.typing as npt

from lorascope.errors import UndefinedMetric

Column = npt.NDArray[np.float64]


def checked_column(value_N: npt.ArrayLike, name: str) -> Column:
    """Turn a column of numbers into float64, refusing what no average may hide.

    Args:
        value_N: One finite number per example, [N].
        name: What the column holds, for the message.

    Returns:
        The same numbers in float64, [N].

    Raises:
        UndefinedMetric: The column has another shape, holds no numbers, or one of them is NaN or infinite.
    """
    try:
        column_N = np.asarray(value_N, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UndefinedMetric(f"{name} must hold one number per example: {error}") from error
    if column_N.ndim != 1:
        raise UndefinedMetric(f"{name} must hold one number per example, but has shape {column_N.shape}")
    wrong_N = np.flatnonzero(~np.isfinite(column_N))
    if wrong_N.size:
        first = int(wrong_N[0])
        raise UndefinedMetric(
            f"{name} is not finite for {wrong_N.size} of {column_N.size} examples, "
            f"first {column_N[first]} at index {first}"
        )
    return column_N


def checked_counts(count_N: npt.ArrayLike, name: str, *, like: Column) -> Column:
    """Check a column of counts and that it covers the same examples as another column.

    Args:
        count_N: One whole number >= 0 per example, [N].
        name: What is counted, for the message.
        like: The column it stands beside, [N].

    Returns:
        The counts in float64, exact below 2**53, [N].

    Raises:
        UndefinedMetric: The lengths differ, or a count is negative or not whole.
    """
    column_N = checked_column(count_N, name)
    check_same_length(column_N, like, name)
    wrong_N = np.flatnonzero((column_N < 0) | (column_N != np.floor(column_N)))
    if wrong_N.size:
        first = int(wrong_N[0])
        raise UndefinedMetric(f"{name} holds {column_N[first]} at index {first}, which is no count")
    return column_N


def check_same_length(column_N: Column, like: Column, name: str) -> None:
    """Refuse two columns that cannot speak of the same examples.

    Args:
        column_N: One column.
        like: The other.
        name: What the first one holds, for the message.

    Raises:
        UndefinedMetric: Their lengths differ.
    """
    if column_N.size != like.size:
        raise UndefinedMetric(f"{name} covers {column_N.size} examples, its neighbour {like.size}")


def exact_sum(column_N: Column) -> float:
    """Sum with a single rounding at the end, so that the order of the examples never shows in a metric.

    Args:
        column_N: Finite numbers, [N].

    Returns:
        The sum, correctly rounded; 0.0 for no number.

    Raises:
        UndefinedMetric: The sum is too large for a float.
    """
    try:
        return math.fsum(column_N.tolist())
    except OverflowError as error:
        raise UndefinedMetric("the sum over the examples is too large for a float") from error
