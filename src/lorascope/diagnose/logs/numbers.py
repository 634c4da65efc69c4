"""What is written in a cell -> a number: "1,234", "5/100", decimal commas, zeros that rounding made."""

import math
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

LARGEST_COUNT = 2.0**53
"""Above it not every whole number is a float."""

_OF = re.compile(r"\s*(\d+)\s*/\s*\d+\s*")
_COMMA = re.compile(r"\s*[-+]?(\d{1,3}(?:\.\d{3})+|\d+),(\d+)(e[-+]?\d+)?\s*%?\s*", re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})\s*")
_PRINTED_ZERO = re.compile(r"\s*[-+]?0\.(0{2,})\s*")  # Python itself writes an exact zero as 0.0
_THREE_BEHIND = re.compile(r"\s*(\d{1,3}),\d{3}\s*")
_NO_NUMBER = ("", "nan", "inf", "-inf")
_WINDOWS_NAN = re.compile(r"[-+]?(?:nan\(\w+\)|1\.#(?:[qs]nan|ind)0*)", re.IGNORECASE)
_GROUP = 3
_HIGHEST_LOSS = 20  # nats: no vocabulary has e^20 tokens
_CLEAR_UNITS = 10


def as_number(value: Any) -> float | None:
    """Read one value: a number or text that is one, "nan", "1,234", 5 from "5/100"; None for others.

    true and false are none, though Python counts with them.

    "-nan(ind)" and "1.#QNAN", as Windows prints them, are nan.

    A whole number that no float holds is the largest that one does.
    """
    if value is None or isinstance(value, dict | list | bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max
    except (TypeError, ValueError):
        pass
    of = _OF.fullmatch(str(value))
    text = of[1] if of else str(value).strip().rstrip("%").replace(",", "")
    try:
        return float(text)
    except ValueError:
        return math.nan if _WINDOWS_NAN.fullmatch(text) else None


def as_count(value: Any) -> int | None:
    """Read a whole number, rounded down; None for what is none, and beyond 2^53."""
    number = as_number(value)
    return int(number) if number is not None and abs(number) <= LARGEST_COUNT else None


def has_decimal_commas(values: Iterable[Any], *, likely: bool) -> bool:
    """Whether the commas of a column stand before decimals and not before thousands.

    One value that thousands cannot explain settles it: another number of digits than three behind the comma,
    or a 0 before it. So does one that only thousands explain: "1,234.5", "1,234,567".

    Args:
        values: The column; what is no text counts for nothing.
        likely: The file says so by itself: its cells are separated by semicolons.
    """
    written = [value for value in values if isinstance(value, str) and "," in value]
    if any(map(_THOUSANDS.fullmatch, written)):
        return False
    found = [match for match in map(_COMMA.fullmatch, written) if match]
    return any(likely or len(one[2]) != _GROUP or one[1] == "0" or one[3] for one in found)


def are_small_losses(values: Iterable[Any]) -> bool:
    """Whether losses whose commas all have three digits behind them are decimals all the same.

    "1,951" may be 1951. But a loss that is written without decimals, never falls below 1,000 and never
    reaches 20,000 is no loss that anybody logs; as decimals the same digits are 1 to 20 nats.

    Args:
        values: The column of a loss.
    """
    told = [
        str(value) for value in values if value is not None and str(value).strip().lower() not in _NO_NUMBER
    ]
    found = [_THREE_BEHIND.fullmatch(value) for value in told]
    return bool(told) and all(one is not None and int(one[1]) < _HIGHEST_LOSS for one in found)


def may_be_decimals(values: Iterable[Any]) -> str | None:
    """The first value whose comma was taken to stand before thousands and may stand before decimals.

    None where there is no such value, or where another shows that the commas are those of thousands.

    Args:
        values: A column that has no decimal commas.
    """
    commas = [value for value in values if isinstance(value, str) and "," in value]
    return commas[0].strip() if commas and all(map(_THREE_BEHIND.fullmatch, commas)) else None


def in_percent(values: Iterable[Any]) -> str | None:
    """The first value that is written with a percent sign; None where there is none."""
    return next((one.strip() for one in values if isinstance(one, str) and one.strip().endswith("%")), None)


def with_points(value: Any) -> Any:
    """A value whose comma is a decimal one, as Python reads it."""
    if not isinstance(value, str) or "," not in value:
        return value
    return value.replace(".", "").replace(",", ".")


def rounded_zeros(raw: Sequence[Any], *, small_is_zero: bool) -> list[bool]:
    """Which values are a 0 that was printed with a fixed number of decimals, such as "0.0000".

    Such a 0 says that the value is below the last decimal, not that it is 0.

    Args:
        raw: The column as written.
        small_is_zero: Where the largest value is ten units of that decimal, what is below one counts as 0.

    Returns:
        For each value whether it is unknown.
    """
    printed = [_PRINTED_ZERO.fullmatch(value) if isinstance(value, str) else None for value in raw]
    units = [10.0 ** -len(match[1]) for match in printed if match]
    if units and small_is_zero:
        largest = max(map(abs, (number for number in map(as_number, raw) if number is not None)), default=0.0)
        if largest >= _CLEAR_UNITS * min(units):
            return [False] * len(raw)
    return [match is not None for match in printed]
