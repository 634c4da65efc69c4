"""What a check noticed that stops nobody, and may still ruin a fine-tune: shown with its evidence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lorascope.check.labels import Failure

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing worth a look.

    Attributes:
        name: Stable.
        severity: "warn" where it is likely to cost something, "info" where it may be meant so.
        sentence: What was seen, with its numbers.
        num_rows: Rows concerned; 0 where it is about the whole.
        fix: What to do about it.
        worst: Up to five examples.
    """

    name: str
    severity: str
    sentence: str
    num_rows: int
    fix: str
    worst: tuple[Failure, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The notice as JSON values."""
        return {**asdict(self), "worst": list(self.worst)}


def notice(
    name: str,
    severity: str,
    sentence: str,
    failures: Sequence[Failure],
    *,
    fix: str,
    num_rows: int | None = None,
) -> Notice:
    """A notice about some rows."""
    return Notice(
        name=name,
        severity=severity,
        sentence=sentence,
        num_rows=len(failures) if num_rows is None else num_rows,
        fix=fix,
        worst=tuple(failures[:_SHOWN]),
    )
