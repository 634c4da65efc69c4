"""What a rule says: a finding with its evidence and one next action, or why it could not be run."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["info", "warn", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warn", "critical")
"""From the least to the most severe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One signal.

    Attributes:
        rule: Name of the rule that found it; stable.
        severity: How much it matters.
        title: The finding in one sentence.
        evidence: The numbers, and a "sentence" that says them.
        how_sure: What was controlled for, and what was not.
        action: The one next step, with its exact command.
        would_change: What would change this finding.
    """

    rule: str
    severity: Severity
    title: str
    evidence: dict[str, Any]
    how_sure: str
    action: str
    would_change: str

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A rule whose gate did not open.

    Attributes:
        rule: Its name.
        reason: What is missing, and how much of it.
    """

    rule: str
    reason: str


Outcome = Finding | NotRun | None
"""Of a rule: None means that it ran and found nothing."""


def at_least(severity: str, threshold: str) -> bool:
    """Whether a severity reaches a threshold, both by name."""
    names: tuple[str, ...] = SEVERITIES
    return names.index(severity) >= names.index(threshold)
