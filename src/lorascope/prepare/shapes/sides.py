"""A prompt and an answer that may each be a text, one turn or a list of turns -> one conversation."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import code_of, columns_in, text_at, value_at
from lorascope.prepare.shapes.chat import label_at, system_turn
from lorascope.prepare.shapes.shape import NotChosen, Part, Shape
from lorascope.prepare.shapes.tools import tools_in
from lorascope.prepare.shapes.turn import list_in, messages_in, turns_in
from lorascope.prepare.shapes.turns import finished, not_learnt, only_last_answer
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import Message


def side_at(row: Mapping[str, Any], column: str, part: str, role: str) -> list[Message]:
    """Read one side.

    Args:
        row: The columns.
        column: Where it stands.
        part: "prompt" or "answer"; names it in reasons where the column's name cannot.
        role: Who speaks where it is a text.

    Raises:
        Malformed: It is missing, or no side.
    """
    value = list_in(value_at(row, column))
    if isinstance(value, Mapping):
        return messages_in(value)
    if isinstance(value, (list, tuple)):
        return turns_in(value, code_of(column, part))
    return [Message(role=role, content=text_at(row, column, part))]


def joined_sides(prompt: Sequence[Message], answer: Sequence[Message]) -> list[Message]:
    """One conversation of both sides, in which the answer alone is learnt.

    Answers within the prompt are not: the data say that they are a part of what is given. Where the answer's
    side is a whole conversation, its last answer is what people chose.
    """
    return only_last_answer(answer) if is_whole(answer) else [*not_learnt(prompt), *answer]


def is_whole(answer: Sequence[Message]) -> bool:
    """Whether the answer's side is a whole conversation, which the user opens."""
    return next((message.role for message in answer if message.role != "system"), None) == "user"


def read_sides(columns: ColumnsSection, value: Any) -> list[Part]:
    """Read a row whose prompt and answer are turns."""
    row = columns_in(value)
    if columns.label and not label_at(row, columns.label):
        return [NotChosen()]
    assert columns.prompt and columns.answer
    prompt = [*system_turn(row, columns.system), *side_at(row, columns.prompt, "prompt", "user")]
    answer = side_at(row, columns.answer, "answer", "assistant")
    tools = tools_in(value_at(row, columns.tools)) if columns.tools else ""
    return [finished(joined_sides(prompt, answer), tools=tools)]


def sides_shape(columns: ColumnsSection) -> Shape:
    """The shape of rows whose prompt and answer are turns, as TRL writes conversational data."""
    return Shape(
        name="pairs",
        described=f"prompts and answers made of turns ({columns.prompt}, {columns.answer})",
        columns=tuple(columns.named.values()),
        reader=partial(read_sides, columns),
    )
