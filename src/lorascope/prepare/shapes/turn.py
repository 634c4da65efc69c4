"""One turn of a chat, in the form of OpenAI, ShareGPT or their kin -> messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, encodable_text, is_blank, json_text, parsed_json
from lorascope.prepare.shapes.content import Content, content_of
from lorascope.prepare.shapes.roles import CALL, is_role, role_of
from lorascope.prepare.shapes.tools import calls_in, identifier
from lorascope.run.message import Message

ROLE_KEYS = ("role", "from", "speaker")
_CONTENT_KEYS = ("content", "value", "text")
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_TRAIN_KEYS = ("train", "trainable", "training", "weight", "loss_weight")
_SIDES = {"input": "user", "question": "user", "prompt": "user", "output": "assistant", "answer": "assistant"}
_MAY_BE_EMPTY = ("system", "tool")


def turns_in(value: Any, code: str) -> list[Message]:
    """Read a list of turns.

    Args:
        value: The list, or JSON text of it.
        code: How reasons name the column.

    Raises:
        Malformed: As of `filled_list_in`, or what is wrong with one of the turns.
    """
    return [message for turn in filled_list_in(value, code) for message in messages_in(turn)]


def filled_list_in(value: Any, code: str) -> Sequence[Any]:
    """Read a cell that must hold a list with something in it.

    Raises:
        Malformed: missing_, wrong_type_ or empty_ and the code.
    """
    if value is None:
        raise Malformed(f"missing_{code}")
    found = list_in(value)
    if not isinstance(found, (list, tuple)):
        raise Malformed(f"wrong_type_{code}")
    if not found:
        raise Malformed(f"empty_{code}")
    return found


def list_in(value: Any) -> Any:
    """The list that a cell of a table writes as JSON text; anything else stays what it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return parsed_json(value)
    except ValueError:
        return value


def messages_in(turn: Any) -> list[Message]:
    """Read one turn: a message, or two where an object holds both sides, as in {human: ..., assistant: ...}.

    Raises:
        Malformed: It is no turn, or its content cannot be learnt from.
    """
    if not isinstance(turn, Mapping):
        raise Malformed("message_without_role")
    name = next((turn[key] for key in ROLE_KEYS if turn.get(key) is not None), None)
    if name is None:
        return _both_sides(turn)
    if not isinstance(name, str):
        raise Malformed("message_without_role")
    role = role_of(name)
    key = next((key for key in _CONTENT_KEYS if key in turn), None)
    value = turn[key] if key else None
    if role == CALL:
        return [_call_turn(turn, value)]
    content = content_of(json_text(value, "wrong_type_content") if _is_result(role, value) else value)
    message = _message(turn, role, content)
    if is_blank(message.content) and not message.tool_calls and role not in _MAY_BE_EMPTY:
        raise Malformed(
            "missing_content" if key is None else "null_content" if value is None else "empty_content"
        )
    return [message]


def _is_result(role: str, value: Any) -> bool:
    """Whether a tool's result is an object, where a text is expected: it is written as JSON."""
    return role == "tool" and isinstance(value, Mapping)


def _call_turn(turn: Mapping[str, Any], value: Any) -> Message:
    calls = calls_in(value)
    if not calls:
        raise Malformed("empty_content")
    return Message(role="assistant", tool_calls=calls, train=_train(turn))


def _message(turn: Mapping[str, Any], role: str, content: Content) -> Message:
    calls = (*content.calls, *calls_in(turn.get("tool_calls")), *calls_in(turn.get("function_call")))
    reasoning = content.reasoning or _reasoning(turn)
    if role != "assistant" and calls:
        raise Malformed("misplaced_tool_call")
    if role != "assistant" and reasoning:
        raise Malformed("misplaced_reasoning")
    is_tool = role == "tool"
    return Message(
        role=role,
        content=content.text,
        reasoning=reasoning,
        tool_calls=calls,
        tool_name=identifier(turn.get("name"), "name") if is_tool else "",
        call_id=identifier(turn.get("tool_call_id"), "tool_call_id") if is_tool else "",
        train=_train(turn),
    )


def _reasoning(turn: Mapping[str, Any]) -> str:
    found = next((turn[key] for key in _REASONING_KEYS if turn.get(key) is not None), "")
    text = encodable_text(found, "reasoning")
    return "" if text.isspace() else text


def _train(turn: Mapping[str, Any]) -> bool | None:
    """Whether a turn says that it is learnt.

    A weight between 0 and 1 is refused: the loss here is a mean over tokens that are learnt or not, and
    taking 0.3 for either would change what somebody asked for.
    """
    said = [turn[key] for key in _TRAIN_KEYS if turn.get(key) is not None]
    if isinstance(turn.get("loss"), bool):  # a number of that name may be a loss that somebody measured
        said.append(turn["loss"])
    if not said:
        return None
    if any(one not in (0, 1) for one in said):
        raise Malformed("unsupported_weight")
    return all(said)


def _both_sides(turn: Mapping[str, Any]) -> list[Message]:
    if not is_exchange(turn):
        raise Malformed("message_without_role")
    found: dict[str, Message] = {}
    for key, value in turn.items():
        role = _side_of(key)
        if role is not None and isinstance(value, str) and value.strip():
            found[role] = Message(role=role, content=encodable_text(value, "content"))
    if "user" not in found or "assistant" not in found:
        raise Malformed("empty_content")
    return [found[role] for role in ("system", "user", "assistant") if role in found]


def is_exchange(turn: Mapping[str, Any]) -> bool:
    """Whether an object has a key for what the user says and one for the assistant."""
    return {"user", "assistant"} <= {_side_of(key) for key in turn}


def _side_of(key: Any) -> str | None:
    if not isinstance(key, str):
        return None
    role = _SIDES.get(key) or (role_of(key) if is_role(key) else None)
    return role if role in ("system", "user", "assistant") else None


def texts_in(value: Sequence[Any], code: str) -> list[str]:
    """Texts of a list, each of which must say something.

    Raises:
        Malformed: wrong_type_, lone_surrogate_ or empty_ and the code.
    """
    texts = [encodable_text(one, code) for one in value]
    if not all(text.strip() for text in texts):
        raise Malformed(f"empty_{code}")
    return texts


def alternating(texts: Sequence[str]) -> list[Message]:
    """Texts of two who speak in turns, the user first."""
    return [
        Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(texts)
    ]
