"""What one look at the machine found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `warn` slows or limits a run; `fail` stops one."""

    name: str
    status: Status
    found: str
    fix: str | None = None
    """What to do; None when there is nothing to do."""

    def to_json(self) -> dict[str, Any]:
        """The check as plain values."""
        return asdict(self)


def ok(name: str, found: str) -> Check:
    """Make a check that found nothing wrong."""
    return Check(name=name, status="ok", found=found)


def warn(name: str, found: str, fix: str) -> Check:
    """Make a check that found something slow, limited or likely to surprise."""
    return Check(name=name, status="warn", found=found, fix=fix)


def fail(name: str, found: str, fix: str) -> Check:
    """Make a check that found something a run cannot do with."""
    return Check(name=name, status="fail", found=found, fix=fix)
