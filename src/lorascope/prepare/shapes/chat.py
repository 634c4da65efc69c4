"""Rows that hold a list of turns: what OpenAI's messages and ShareGPT's conversations share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, code_of, columns_in, optional_text_at, value_at
from lorascope.prepare.shapes.profile import CHAT_COLUMNS, Profile, kind_of
from lorascope.prepare.shapes.shape import NotChosen, Part, Shape
from lorascope.prepare.shapes.tools import tools_in
from lorascope.prepare.shapes.turn import ROLE_KEYS, list_in, turns_in
from lorascope.prepare.shapes.turns import finished, only_last_answer
from lorascope.run.message import Message

SYSTEM_COLUMNS = ("system", "system_prompt", "system_message")
_TURNS = ("turns", "exchanges")
_TOOL_COLUMNS = ("tools", "functions")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatColumns:
    """Where the rows keep a chat.

    Attributes:
        turns: Column of the turns; None where the row itself is the list of them.
        system: Column of a system prompt.
        tools: Column of the tools.
        label: Column that says whether people liked the last answer; None where there is none.
    """

    turns: str | None
    system: str = "system"
    tools: str = "tools"
    label: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every column read."""
        return tuple(name for name in (self.turns, self.system, self.tools, self.label) if name)


def chat_columns(profile: Profile, turns: str | None) -> ChatColumns:
    """Find what stands beside the turns."""
    return ChatColumns(
        turns=turns,
        system=profile.find(*SYSTEM_COLUMNS, kinds=("text", "")) or "system",
        tools=profile.find(*_TOOL_COLUMNS, kinds=("text", "texts", "objects", "object", "")) or "tools",
    )


def turns_column(profile: Profile) -> str | None:
    """The column that holds lists of turns; one called messages is taken even where it is broken or empty."""
    there = [column for column in map(profile.find, CHAT_COLUMNS) if column]
    good = next((column for column in there if profile.chat_kind(column) in _TURNS), None)
    messages = profile.find("messages")
    broken = messages is not None and profile.chat_kind(messages) in ("list", "objects", "")
    return good or (messages if broken else None)


def as_messages(profile: Profile) -> Shape | None:
    """OpenAI's messages: turns with role and content."""
    return _chat_shape(profile, "messages")


def as_sharegpt(profile: Profile) -> Shape | None:
    """ShareGPT's conversations: turns with from and value, or objects that hold both sides."""
    return _chat_shape(profile, "sharegpt")


def _chat_shape(profile: Profile, wanted: str) -> Shape | None:
    column = turns_column(profile)
    if column is None and profile.row_kind not in _TURNS:
        return None
    name, described = manner_of(profile, column)
    if name != wanted:
        return None
    columns = chat_columns(profile, column)
    tools = f" with {columns.tools}" if columns.tools in profile.columns else ""
    return Shape(
        name=name,
        described=f"{described}{tools}{'' if column else ', one list per row'}",
        columns=columns.names,
        reader=partial(read_chat, columns),
    )


def manner_of(profile: Profile, column: str | None) -> tuple[str, str]:
    """Name and describe how turns are written, by the keys of the first one."""
    lists = profile.rows if column is None else profile.values(column)
    turn = next((turns[0] for turns in map(list_in, lists) if kind_of(turns) in _TURNS), {"role": ""})
    if "from" in turn and "role" not in turn:
        return "sharegpt", "ShareGPT conversations (from/value)"
    if any(key in turn for key in ROLE_KEYS):
        return "messages", "OpenAI messages (role/content)"
    return "sharegpt", f"conversations of both sides ({'/'.join(map(str, turn))})"


def read_chat(columns: ChatColumns, value: Any) -> list[Part]:
    """Read a row that holds a chat."""
    if columns.turns is None:
        return [finished(turns_in(value, "messages"))]
    row = columns_in(value)
    if columns.label and not label_at(row, columns.label):
        return [NotChosen()]
    turns = [*system_turn(row, columns.system), *turns_in(value_at(row, columns.turns), _code(columns))]
    judged = only_last_answer(turns) if columns.label else turns
    return [finished(judged, tools=tools_in(value_at(row, columns.tools)))]


def _code(columns: ChatColumns) -> str:
    return code_of(columns.turns or "messages", "messages")


def system_turn(row: Mapping[str, Any], column: str | None) -> list[Message]:
    """The system prompt of a column, where it says anything."""
    text = optional_text_at(row, column, "system")
    return [Message(role="system", content=text)] if text else []


_SWITCHES = {"true": True, "false": False, "1": True, "0": False}


def label_at(row: Mapping[str, Any], column: str) -> bool:
    """Whether people liked an answer; a table may write it as "True" or 1.

    Raises:
        Malformed: missing_label, null_label or wrong_type_label.
    """
    found = row.get(column)
    if found is None:
        raise Malformed("null_label" if column in row else "missing_label")
    liked = _SWITCHES.get(str(found).casefold()) if isinstance(found, str | bool | int) else None
    if liked is None:
        raise Malformed("wrong_type_label")
    return liked
