"""Rows and pairs -> tables that line up their numbers and scroll inside their own box."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import number_text

Align = Literal["left", "right", "center"]
# "4.10", "-3 %", "1,234", "1.2e-5", "4.10 [4.02, 4.18]", "4.02 to 4.18", "2.1x": stands right.
_PLAIN = r"[-+\u2212]?[\d,]*\.?\d+(e[-+\u2212]?\d+)?\s?(%|x|s|ms|GiB|MiB)?"
_NUMBER = re.compile(rf"{_PLAIN}(\s?[\[(].*[\])]| to {_PLAIN})?$")


def table(
    columns: Sequence[str | Html],
    rows: Sequence[Sequence[object]],
    *,
    caption: str | Html | None = None,
    align: Sequence[Align | None] | None = None,
) -> Html:
    """Build a table whose first column names its rows.

    Args:
        columns: Headings.
        rows: Cells: text, `Html`, numbers, bool, or None for "no value".
        caption: What the table shows.
        align: left, right or center per column; None decides by content: numbers stand right.

    Returns:
        The table in a box of its own, which scrolls sideways when the table is wider than the page.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{len(columns)} columns, but a row of {len(row)} cells: {list(row)!r:.120}")
    wanted = align or [None] * len(columns)
    sides = [
        side or _side([row[index] for row in rows])
        for index, side in zip(range(len(columns)), wanted, strict=True)
    ]
    head = [
        tag("th", name, scope="col", class_=f"ls-{side}") for name, side in zip(columns, sides, strict=True)
    ]
    body = [
        tag(
            "tr",
            join(
                _cell(cell, side, first=not i) for i, (cell, side) in enumerate(zip(row, sides, strict=True))
            ),
        )
        for row in rows
    ]
    inner = tag(
        "table",
        tag("caption", caption) if caption else "",
        tag("thead", tag("tr", join(head))),
        tag("tbody", join(body)),
    )
    # Focusable, because a box that scrolls must scroll by keyboard too.
    name = str(caption) if caption and not isinstance(caption, Html) else "Table"
    return tag("div", inner, class_="ls-table", role="region", tabindex=0, aria_label=name)


def key_values(pairs: Sequence[tuple[str | Html, object]]) -> Html:
    """Build a list of names and values, such as settings or versions.

    Args:
        pairs: (name, value); values as in `table`.

    Returns:
        The list; two columns where there is room.
    """
    entries = [tag("div", tag("dt", name), tag("dd", value_text(value))) for name, value in pairs]
    return tag("dl", join(entries), class_="ls-pairs")


def tiles(items: Sequence[tuple[str | Html, object, str | Html]]) -> Html:
    """Build the few numbers that a page is about, in large type.

    Args:
        items: (name, value, note); the note says interval, comparison or unit.

    Returns:
        The tiles, as many side by side as fit.
    """
    entries = [
        tag(
            "div",
            tag("dt", name),
            tag("dd", value_text(value), class_="ls-figure"),
            tag("dd", note, class_="ls-soft"),
        )
        for name, value, note in items
    ]
    return tag("dl", join(entries), class_="ls-tiles")


def value_text(value: object) -> Html:
    """Write one value for people.

    Args:
        value: Text, `Html`, a number, bool, or None for "no value".

    Returns:
        Safe markup; numbers with separators, None and values that are not finite marked as such.
    """
    if value is None:
        return tag("span", "no value", class_="ls-missing")
    if isinstance(value, float) and not math.isfinite(value):
        return tag("span", "not finite", class_="ls-broken")
    return join([number_text(value) if isinstance(value, int | float) else value])


def _cell(value: object, side: str, *, first: bool) -> Html:
    text = value_text(value)
    kind = f"ls-{side} ls-number" if _is_number(value) else f"ls-{side}"  # a number never breaks
    return tag("th", text, scope="row", class_=kind) if first else tag("td", text, class_=kind)


def _side(cells: Sequence[object]) -> Align:
    """Right where every cell with a value is a number or reads as one."""
    found = [cell for cell in cells if cell is not None]
    return "right" if found and all(_is_number(cell) for cell in found) else "left"


def _is_number(cell: object) -> bool:
    if isinstance(cell, bool):
        return False
    return isinstance(cell, int | float) or (isinstance(cell, str) and _NUMBER.match(cell) is not None)
