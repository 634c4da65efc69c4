"""What a check came to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_SHOWN = 5
MOST_ROWS = 500
"""Rows that a page shows, and failing rows that a report names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check over all examples of a dataset.

    Attributes:
        name: Stable, as used in `check.allow`.
        passed: None where it could not be made; `note` says why.
        question: What it proves, in words.
        num_failed: Rows concerned.
        num_rows: Rows looked at.
        note: What a reader needs besides.
        fix: What to do when it failed.
        fault: What is wrong with the rows, as the end of a sentence; "" is what the check always says.
            Not part of the check's JSON.
        worst: Up to five examples: example_id, split and what is wrong with them.
        failures: All of them; not part of the check's JSON.
    """

    name: str
    passed: bool | None
    question: str
    num_failed: int
    num_rows: int
    note: str = ""
    fix: str = ""
    fault: str = ""
    worst: tuple[dict[str, Any], ...] = ()
    failures: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON values."""
        values = {**asdict(self), "worst": list(self.worst)}
        del values["failures"], values["fault"]
        return values


def result(
    name: str,
    question: str,
    failures: Sequence[dict[str, Any]],
    num_rows: int,
    *,
    fix: str,
    note: str = "",
    fault: str = "",
) -> CheckResult:
    """A check that passes when no row fails it."""
    return CheckResult(
        name=name,
        passed=not failures,
        question=question,
        num_failed=len(failures),
        num_rows=num_rows,
        note=note,
        fix=fix,
        fault=fault,
        worst=tuple(failures[:_SHOWN]),
        failures=tuple(failures),
    )


def not_made(name: str, question: str, why: str) -> CheckResult:
    """A check that could not be made."""
    return CheckResult(name=name, passed=None, question=question, num_failed=0, num_rows=0, note=why)
