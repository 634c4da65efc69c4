"""What of a file of records could not be read -> what to say of it."""

from lorascope.diagnose.counts import counted

Span = tuple[int, int]
"""First byte, and the one behind the last."""

_FILLED_UP = 7  # bytes that may lie unused between two spans


def pass_over(spans: list[Span], begin: int, end: int) -> None:
    """Add a span, as one with that before it where they touch."""
    if spans and begin - spans[-1][1] < _FILLED_UP:
        begin = spans.pop()[0]
    spans.append((begin, end))


def damage_told(name: str, spans: list[Span], num_bytes: int, num_read: int, unit: str) -> list[str]:
    """Say what was passed over; nothing of a file that is whole.

    Args:
        name: Of the file.
        spans: What could not be read of it, in order.
        num_bytes: Its length.
        num_read: How much could be read.
        unit: Of that, as in "line".
    """
    told = []
    inner = [span for span in spans if span[1] < num_bytes]
    if inner:
        places = f"{len(inner):,} place{'s' if len(inner) > 1 else ''}"
        lost = sum(end - begin for begin, end in inner)
        told.append(
            f"{name} is damaged in {places}, the first at byte {inner[0][0]:,}: {lost:,} of {num_bytes:,} "
            "bytes were passed over, and points may be missing there"
        )
    if len(inner) < len(spans):
        read = counted(num_read, f"{unit} before that was", f"{unit}s before that were")
        told.append(f"{name} is damaged or still being written: {read} read")
    return told
