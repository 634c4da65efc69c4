"""Entries of a log, each a mapping from a name to a value -> its columns, as numbers. Shapes: E entries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lorascope.diagnose.counts import counted
from lorascope.diagnose.logs.numbers import (
    LARGEST_COUNT,
    are_small_losses,
    as_number,
    has_decimal_commas,
    in_percent,
    may_be_decimals,
    rounded_zeros,
    with_points,
)

Entry = Mapping[str, Any]

_LARGEST = float(np.finfo(np.float32).max)


class Columns:
    """The entries of a log, column by column.

    Attributes:
        entries: In the order of the file.
        problems: What was noteworthy about reading them so far.
        decimal_commas: The file's cells are separated by semicolons: its commas stand before decimals.
    """

    def __init__(self, entries: Sequence[Entry], problems: list[str], *, decimal_commas: bool) -> None:
        self.entries = entries
        self.problems = problems
        self.decimal_commas = decimal_commas

    def read(
        self, name: str | None, *, is_count: bool = False, is_loss: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read one column.

        Args:
            name: As the file has it; None for a column that there is not.
            is_count: It holds whole numbers, so semicolons say nothing about its commas.
            is_loss: It holds losses, which says something about its commas.

        Returns:
            Its values, NaN where there is none, and whether there is one.
        """
        if name is None:
            return np.full(len(self.entries), np.nan), np.zeros(len(self.entries), dtype=bool)
        raw = [entry.get(name) for entry in self.entries]
        kinds = set(map(type, raw))
        if bool not in kinds:  # which numpy takes for 0 and 1
            try:
                values = np.array(raw, dtype=np.float64)  # takes None for NaN, "nan" and "1.5" for numbers
                if values.ndim == 1:  # not lists of one length each
                    present = np.ones(len(raw), dtype=bool)
                    if type(None) in kinds:
                        present = np.array([value is not None for value in raw], dtype=bool)
                    return self._bounded(name, values, present, is_count=is_count)
            except (TypeError, ValueError, OverflowError):
                pass
        raw = self._with_points(name, raw, likely=self.decimal_commas and not is_count, is_loss=is_loss)
        numbers = [as_number(value) for value in raw]
        strange = [
            value
            for value, number in zip(raw, numbers, strict=True)
            if number is None and value not in (None, "")
        ]
        if strange:
            self.problems.append(
                counted(
                    len(strange),
                    f'value of "{name}" is no number and counts as absent: ',
                    f'values of "{name}" are no numbers and count as absent; the first is ',
                )
                + repr(str(strange[0])[:40])
            )
        present = np.array([number is not None for number in numbers], dtype=bool)
        return self._bounded(name, np.array(numbers, dtype=np.float64), present, is_count=is_count)

    def _with_points(self, name: str, raw: list[Any], *, likely: bool, is_loss: bool) -> list[Any]:
        """A column with its decimal commas made points; of a loss, with what signs meant."""
        if has_decimal_commas(raw, likely=likely or (is_loss and are_small_losses(raw))):
            comma = next(value for value in raw if isinstance(value, str) and "," in value)
            raw = [with_points(value) for value in raw]
            self.problems.append(
                f'decimal commas in column "{name}": {comma.strip()} was read as {with_points(comma).strip()}'
            )
            # Who writes a loss so writes so all over the file, where three digits alone would not tell it.
            self.decimal_commas |= is_loss
        elif is_loss and (either := may_be_decimals(raw)) is not None:
            told = f"{either} was read as {either.replace(',', '')}"
            self.problems.append(f'commas before three digits in column "{name}": {told}')
        if is_loss and (percent := in_percent(raw)) is not None:
            self.problems.append(
                f'"{name}" is written in percent: {percent} was read as {percent.rstrip("% ")}, and a '
                "likelihood has no percent"
            )
        return raw

    def _bounded(
        self, name: str, values: np.ndarray, present: np.ndarray, *, is_count: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers that no training has: a count beyond 2^53 as absent, others beyond float32 as infinite."""
        beyond = np.abs(values) > (LARGEST_COUNT if is_count else _LARGEST)
        if not is_count:
            beyond &= np.isfinite(values)
        if beyond.any():
            num, first = int(beyond.sum()), float(values[int(np.argmax(beyond))])
            limit, as_what = ("2^53", "absent") if is_count else ("what float32 holds", "not finite")
            one = f'value of "{name}" is beyond {limit} and counts as {as_what}: '
            many = f'values of "{name}" are beyond {limit} and count as {as_what}; the first is '
            self.problems.append(f"{counted(num, one, many)}{first:.3g}")
            values = np.where(beyond, np.nan if is_count else np.copysign(np.inf, values), values)
        return values, present & ~beyond if is_count else present

    def read_small(self, name: str | None, *, small_is_zero: bool) -> tuple[np.ndarray, np.ndarray]:
        """Read a column of small numbers, in which a printed "0.0000" is unknown rather than 0.

        Args:
            name: As the file has it; None for a column that there is not.
            small_is_zero: See `numbers.rounded_zeros`.
        """
        values, present = self.read(name)
        unknown = np.zeros(len(values), dtype=bool)
        if name is not None and (values == 0).any():
            raw = [with_points(entry.get(name)) for entry in self.entries]
            unknown = np.array(rounded_zeros(raw, small_is_zero=small_is_zero), dtype=bool)
        if unknown.any():
            self.problems.append(
                f'"{name}" is printed with few decimals: where it says 0, '
                f"{counted(int(unknown.sum()), 'time')}, it is unknown"
            )
        return np.where(unknown, np.nan, values), present & ~unknown
