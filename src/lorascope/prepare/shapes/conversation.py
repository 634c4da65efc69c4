"""What a row becomes: conversations, each with the place it came from.

A row that is not understood becomes a bad row with a reason; one whose answer people turned down becomes
`NotChosen`. Nothing else can come of a row, so rows in = kept + bad + not chosen.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorascope.prepare.read import BadRow, SourceRow, excerpt_of
from lorascope.prepare.shapes.cells import is_encodable
from lorascope.prepare.shapes.shape import NotChosen, Part, Shape
from lorascope.run.message import Message

_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A row, or one part of a row, whose shape is understood.

    Attributes:
        file: Name of its file.
        line: Where its row starts in it, 1-based.
        row: 1-based count of rows in the file; many JSON files are a single line.
        messages: Its turns; the last is the assistant's, or the only one is plain text.
        part: 1-based count within a row of several conversations; 0 where the row is one.
        tools: JSON text of the list of tools in OpenAI's form; "" where there are none.
        num_unanswered: Turns after the last answer that were left out.
        num_rejected: Answers that people turned down, left out.
        odd: Signals: names of what is odd about it, in order of letters; see `signals`.
        labels: Its row's other columns that hold a short text, number or switch, as text; metrics can be
            broken down by them.
    """

    file: str
    line: int
    row: int
    messages: tuple[Message, ...]
    part: int = 0
    tools: str = ""
    num_unanswered: int = 0
    num_rejected: int = 0
    odd: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def example_id(self) -> str:
        """Names the conversation for good: file#row, or file#row.part where a row holds several."""
        return f"{self.file}#{self.row}" + (f".{self.part}" if self.part else "")


def conversations_of(
    row: SourceRow, shape: Shape, file: str, number: int
) -> list[Conversation | BadRow | NotChosen]:
    """Read one row.

    Args:
        row: The record.
        shape: What the rows of its file are.
        file: Name of its file.
        number: Its count in the file, from 1.

    Returns:
        One entry for each conversation that the row holds, or should hold; never empty.
    """
    parts = shape.read(row.value)
    labels = labels_of(row.value, shape.known)
    several = len(parts) > 1
    return [
        _placed(part, row, file, number, count if several else 0, labels)
        for count, part in enumerate(parts, start=1)
    ]


def _placed(
    part: Part, row: SourceRow, file: str, number: int, count: int, labels: Mapping[str, str]
) -> Conversation | BadRow | NotChosen:
    if isinstance(part, str):
        excerpt = _excerpt(row.value)
        return BadRow(row.line, part, f"part {count}: {excerpt}" if count else excerpt, number)
    if isinstance(part, NotChosen):
        return part
    return Conversation(
        file=file,
        line=row.line,
        row=number,
        part=count,
        messages=part.messages,
        tools=part.tools,
        num_unanswered=part.num_unanswered,
        num_rejected=part.num_rejected,
        odd=part.odd,
        labels=labels,
    )


def _excerpt(value: Any) -> str:
    try:
        return excerpt_of(value)
    except (RecursionError, ValueError):  # a value that is nested deeper than it can be written
        return f"a {type(value).__name__} that cannot be shown"


def labels_of(value: Any, read: Collection[str]) -> dict[str, str]:
    """The short columns of a row beside those that are read: what metrics can be broken down by.

    Args:
        value: The row.
        read: Names of columns that are no labels.
    """
    if not isinstance(value, Mapping):
        return {}
    return {
        name: text
        for name, one in value.items()
        if name and name not in read and isinstance(one, str | int | float) and not _is_nan(one)
        if len(text := str(one)) <= _LABEL_CHARS and is_encodable(name) and is_encodable(text)
    }


def _is_nan(one: object) -> bool:
    return isinstance(one, float) and math.isnan(one)
