"""The first row of a table -> whether it holds the names of the columns, and those names.

A header is assumed unless the first row looks like the rows beneath it: a number above numbers, a long text
above long texts, or a label that its column repeats.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lorascope.prepare.read.faults import unreadable

_USUAL = {
    *(
        "instruction",
        "input",
        "output",
        "prompt",
        "completion",
        "question",
        "answer",
        "response",
        "text",
        "context",
    ),
    *("messages", "conversations", "system", "user", "assistant", "chosen", "rejected", "label", "category"),
    *("source", "target", "title", "content", "body", "query", "reply", "id", "index"),
}
_LONG = 80
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")


def has_header(first: Sequence[str], beneath: Sequence[Sequence[str]]) -> bool:
    """Say whether the first row names the columns.

    Args:
        first: Its cells.
        beneath: Some rows under it.

    Returns:
        False only with evidence; True where there is nothing beneath.
    """
    if any(cell.strip().lower() in _USUAL for cell in first):
        return True
    columns = [[row[at].strip() for row in beneath if at < len(row)] for at in range(len(first))]
    return not any(
        _is_alike(cell.strip(), column)
        for cell, column in zip(first, columns, strict=True)
        if len(column) > 1
    )


def names_of(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns.

    One may have none, as the index that pandas writes; of several, the others are called by their place.

    Raises:
        DataError: Two columns have the same name.
    """
    names = [name.strip() for name in header]
    twins = [name for name, count in Counter(names).items() if name and count > 1]
    if twins:
        why = "one of two columns of the same name would be lost"
        raise unreadable(path, f'column "{twins[0]}" stands twice in its header', why, "rename one of them")
    unnamed = [at for at, name in enumerate(names) if not name]
    for at in unnamed[1:]:
        names[at] = f"column_{at + 1}"
    return tuple(names)


def _is_alike(cell: str, column: Sequence[str]) -> bool:
    """Whether a cell is of the kind of all the cells beneath it, and unlike a name."""
    if _NUMBER.fullmatch(cell):
        return all(_NUMBER.fullmatch(other) for other in column)
    if len(cell) > _LONG:
        return sorted(map(len, column))[len(column) // 2] > _LONG
    return bool(cell) and column.count(cell) >= 2 and len(set(column)) > 1
