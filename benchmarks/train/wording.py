"""Figures -> words and tables, in the same manner all over the page."""

from collections.abc import Iterable, Sequence

from figures import Figures, Line


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first columns are words and the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def times(ratio: float | None) -> str:
    """As in 3.2x; an empty cell where there is none."""
    return "" if ratio is None else f"{ratio:.1f}x" if ratio < 10 else f"{ratio:.0f}x"


def percent(share: float | None) -> str:
    """As in 79 %."""
    return "" if share is None else f"{100 * share:.0f} %"


def gap_text(gap: float | None) -> str:
    """A relative difference as a power of ten."""
    return "" if gap is None else "none" if gap == 0 else f"{gap:.0e}".replace("e-0", "e-")


def conditions(figures: Figures) -> str:
    """The headline's cell in words."""
    return f"batch {figures.batches[0]}, dropout 0, {figures.precision}"


def setting_text(line: Line) -> str:
    """A peer's setting in words."""
    if line.setting is None:
        return ""
    return f"rows of {line.setting:,}" if line.kind == "trl-packing" else f"passes of {line.setting}"
