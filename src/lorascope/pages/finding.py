"""A finding -> a card: what was seen, why it may be, what to do next and what would change the verdict."""

from collections.abc import Sequence

from lorascope.pages.markup import Html, join, tag

# Shape and word beside colour, because a tenth of the readers see less colour.
_STATUSES = {
    "critical": ("\u25b2", "critical"),
    "warn": ("\u25c6", "warning"),
    "info": ("\u25cf", "info"),
    "good": ("\u2713", "good"),
    "unknown": ("?", "not enough evidence"),
}
_SAME_AS = {"passed": "good", "ok": "good", "failed": "critical", "error": "critical", "warning": "warn"}


def status_badge(status: str, text: str | Html | None = None) -> Html:
    """Build a small mark of a state.

    Args:
        status: critical, warn, info, good or unknown; passed, ok, failed, error and warning are taken too.
        text: Words on it; those of the state by default.

    Returns:
        The badge, readable without its colour.
    """
    kind = _SAME_AS.get(status, status)
    if kind not in _STATUSES:
        raise ValueError(f"no status {status!r}; there are {', '.join([*_STATUSES, *_SAME_AS])}")
    shape, word = _STATUSES[kind]
    words = text or (status if status in ("passed", "failed") else word)
    return tag("span", tag("span", shape, aria_hidden="true"), " ", words, class_=f"ls-badge ls-{kind}")


def finding_card(
    title: str | Html,
    severity: str,
    evidence: str | Html | Sequence[str | Html],
    cause: str | Html | None,
    action: str | Html | None,
    would_change: str | Html | None,
) -> Html:
    """Build the card of one finding.

    Args:
        title: The finding in one sentence.
        severity: As the status of `status_badge`.
        evidence: The numbers it rests on; several become a list.
        cause: The likeliest cause; None leaves the line out.
        action: The one next step, best a command.
        would_change: What would change this verdict.

    Returns:
        The card.
    """
    kind = _SAME_AS.get(severity, severity)
    lines = [
        ("Evidence", _evidence(evidence), "ls-evidence"),
        ("Likely cause", cause, None),
        ("Do next", action, "ls-action"),
        ("What would change this", would_change, "ls-soft"),
    ]
    entries = [
        tag("div", tag("dt", name), tag("dd", content), class_=line_kind)
        for name, content, line_kind in lines
        if content
    ]
    header = tag("header", status_badge(severity), tag("h3", title))
    return tag("article", header, tag("dl", join(entries)), class_=f"ls-finding ls-{kind}")


def _evidence(evidence: str | Html | Sequence[str | Html]) -> str | Html:
    if isinstance(evidence, str):
        return evidence
    return tag("ul", join(tag("li", line) for line in evidence)) if evidence else ""
