"""A record as found -> a conversation: Alpaca rows and chat messages."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lorascope.errors import DataError, explain, nearest
from lorascope.prepare.read import BadRow, SourceRow, excerpt_of
from lorascope.prepare.shapes.conversation import Conversation as Conversation
from lorascope.run.message import Message

READ_COLUMNS = {"alpaca": {"instruction", "input", "output"}, "messages": {"messages", "label"}}
_ROLES = ("system", "user", "assistant")
_USED = ("instruction", "input", "output", "messages")
_LABEL_CHARS = 60


def detect_shape(columns: Iterable[str], where: str) -> str:
    """Say what the rows of a file are, by their columns.

    Args:
        columns: Names that occur in the first rows.
        where: The file.

    Returns:
        "messages" or "alpaca".

    Raises:
        DataError: Neither fits; the message names the columns found and what is missing.
    """
    names = set(columns)
    if "messages" in names:
        return "messages"
    if {"instruction", "output"} <= names:
        return "alpaca"
    missing = sorted({"instruction", "output"} - names)
    close = "; ".join(f'"{name}": {nearest(name, names)}' for name in missing)
    raise DataError(
        explain(
            f"no known columns: found {', '.join(sorted(names)[:12]) or 'none'}",
            where=where,
            why="rows are read as Alpaca (instruction, input, output) or as chat (messages)",
            fix=f"rename the columns; missing here: {close}",
        )
    )


def conversation_of(row: SourceRow, shape: str, file: str, number: int) -> Conversation | BadRow:
    """Read one row as a conversation, or say why it cannot be.

    Args:
        row: The record.
        shape: From `detect_shape`.
        file: Name of its file.
        number: Its count in the file, from 1.
    """
    if not isinstance(row.value, Mapping):
        return BadRow(row.line, "not_an_object", excerpt_of(row.value))
    turns = _messages(row.value) if shape == "messages" else _alpaca(row.value)
    if isinstance(turns, str):
        return BadRow(row.line, turns, excerpt_of(row.value))
    left_out = len(row.value["messages"]) - len(turns) if shape == "messages" else 0
    return Conversation(
        file=file,
        line=row.line,
        row=number,
        messages=tuple(turns),
        num_unanswered=left_out,
        labels=_labels(row.value),
    )


def _labels(value: Mapping[str, Any]) -> dict[str, str]:
    others = {name: one for name, one in value.items() if name not in _USED}
    kept = {name: str(one) for name, one in others.items() if isinstance(one, str | int | float)}
    return {
        name: text
        for name, text in kept.items()
        if len(text) <= _LABEL_CHARS and not _LONE_SURROGATE.search(name + text)
    }


def _alpaca(value: Mapping[str, Any]) -> Sequence[Message] | str:
    for name in ("instruction", "output"):
        problem = _text_problem(value, name)
        if problem:
            return problem
    context = value.get("input")
    if context is not None and not isinstance(context, str):
        return "wrong_type_input"
    if context and _LONE_SURROGATE.search(context):
        return "lone_surrogate_input"
    return [
        Message(
            role="user", content=value["instruction"], context=context if context and context.strip() else ""
        ),
        Message(role="assistant", content=value["output"]),
    ]


def _text_problem(value: Mapping[str, Any], name: str) -> str | None:
    if name not in value:
        return f"missing_{name}"
    if value[name] is None:
        return f"null_{name}"
    if not isinstance(value[name], str):
        return f"wrong_type_{name}"
    if _LONE_SURROGATE.search(value[name]):
        return f"lone_surrogate_{name}"
    return None if value[name].strip() else f"empty_{name}"


# Half of a character that JSON wrote as two: no tokenizer and no file can take it.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _messages(value: Mapping[str, Any]) -> Sequence[Message] | str:
    if value.get("label") is False:
        return "label_is_false"  # an answer that people rejected, as in data for KTO: not one to imitate
    turns = value.get("messages")
    if not isinstance(turns, (list, tuple)) or not turns:
        return "missing_messages" if turns is None else "wrong_type_messages"
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            return "message_without_role"
        if turn["role"] not in _ROLES:
            return f"unknown_role_{excerpt_of(turn['role'])[:20]}"
        problem = _text_problem(turn, "content")
        if problem and not (problem == "empty_content" and turn["role"] == "system"):
            return problem
        messages.append(Message(role=turn["role"], content=turn["content"]))
    while messages and messages[-1].role != "assistant":
        messages.pop()  # a question without its answer teaches nothing
    if not messages:
        return "no_answer"
    if next(message.role for message in messages if message.role != "system") == "assistant":
        return "starts_with_answer"
    return messages
