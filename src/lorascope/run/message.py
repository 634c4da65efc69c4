"""A conversation as every format is read into it: turns, tool calls, and which turns are learnt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = ("system", "user", "assistant", "tool", "text")
"""Who may speak. "tool" is the result of a call; "text" is plain text for continued pre-training, alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that the assistant asks for.

    Attributes:
        name: Of the function.
        arguments: JSON text of its arguments, as in '{"city": "Rome"}'.
        call_id: What its result refers to; "" where the data names none.
    """

    name: str
    arguments: str
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: One of ROLES.
        content: Its text; of an Alpaca row the instruction or the answer.
        context: The Alpaca row's `input`; "" where there is none.
        reasoning: What a reasoning model thinks before it answers; "" where there is none.
        tool_calls: What an assistant turn asks for.
        tool_name: Of a tool's result, the function that gave it; "" where the data does not say.
        call_id: Of a tool's result, the call it answers; "" where the data does not say.
        train: Whether this turn is learnt; None leaves it to `prepare.targets`.
    """

    role: str
    content: str = ""
    context: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    call_id: str = ""
    train: bool | None = None


def as_record(message: Message) -> dict[str, Any]:
    """A turn as a row of examples.parquet holds it."""
    # dataclasses.asdict copies deeply and takes ten times as long; prepare writes one of these per turn.
    return {
        "role": message.role,
        "content": message.content,
        "context": message.context,
        "reasoning": message.reasoning,
        "tool_calls": [
            {"name": call.name, "arguments": call.arguments, "call_id": call.call_id}
            for call in message.tool_calls
        ],
        "tool_name": message.tool_name,
        "call_id": message.call_id,
        "train": message.train,
    }


def message_of(record: Mapping[str, Any]) -> Message:
    """The turn that `as_record` wrote; what an older version did not know keeps its default."""
    calls = tuple(ToolCall(**call) for call in record.get("tool_calls") or ())
    return Message(**{**record, "tool_calls": calls})
