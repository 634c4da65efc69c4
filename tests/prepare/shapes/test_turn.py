from typing import Any

import pytest

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.turn import alternating, is_exchange, list_in, messages_in, texts_in, turns_in
from lorascope.run.message import Message, ToolCall


def one(turn: Any) -> Message:
    (message,) = messages_in(turn)
    return message


def reason(turn: Any) -> str:
    with pytest.raises(Malformed) as caught:
        messages_in(turn)
    return caught.value.reason


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "user", "content": "hi"},
        {"from": "human", "value": "hi"},
        {"role": "human", "content": [{"type": "text", "text": "hi"}]},
        {"speaker": "user", "text": "hi"},
        {"role": None, "from": "human", "content": "hi"},  # as a table of both forms fills it
    ],
)
def test_every_way_to_write_a_turn_comes_to_one(turn: Any) -> None:
    assert one(turn) == Message(role="user", content="hi")


def test_a_developer_is_the_system_and_a_function_a_tool() -> None:
    assert one({"role": "developer", "content": "Be brief."}).role == "system"
    assert one({"role": "function", "name": "add", "content": "3"}) == Message(
        role="tool", content="3", tool_name="add"
    )


def test_an_answer_may_be_calls_alone() -> None:
    turn = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
    }
    call = ToolCall(name="add", arguments="{}", call_id="c1")
    assert one(turn) == Message(role="assistant", tool_calls=(call,))
    del turn["content"]
    assert one(turn) == Message(role="assistant", tool_calls=(call,))


def test_the_older_call_of_a_function_is_a_call() -> None:
    turn = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}}
    assert one(turn).tool_calls == (ToolCall(name="add", arguments='{"a": 1}'),)


def test_a_turn_of_sharegpt_that_is_a_call_is_the_assistants() -> None:
    turn = {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'}
    assert one(turn) == Message(role="assistant", tool_calls=(ToolCall(name="add", arguments='{"a": 1}'),))
    assert reason({"from": "function_call", "value": "add(1)"}) == "tool_call_not_json"
    assert reason({"from": "function_call", "value": "[]"}) == "empty_content"
    assert reason({"from": "function_call"}) == "empty_content"


def test_a_result_names_its_call() -> None:
    turn = {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "3"}
    assert one(turn) == Message(role="tool", content="3", tool_name="add", call_id="c1")


def test_a_result_may_be_empty_or_an_object() -> None:
    assert one({"role": "tool", "content": ""}).content == ""
    assert one({"role": "tool", "content": None}).content == ""
    assert one({"from": "observation", "value": {"sum": 3}}).content == '{"sum": 3}'


def test_a_system_prompt_may_be_empty() -> None:
    assert one({"role": "system", "content": ""}).content == ""


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_stands_beside_the_answer(key: str) -> None:
    turn = {"role": "assistant", "content": "3", key: "1 and 2"}
    assert one(turn) == Message(role="assistant", content="3", reasoning="1 and 2")
    assert one({**turn, key: " "}).reasoning == "" == one({**turn, key: None}).reasoning
    assert reason({**turn, key: 3}) == "wrong_type_reasoning"


@pytest.mark.parametrize(
    ("said", "train"),
    [
        ({}, None),
        ({"train": True}, True),
        ({"train": False}, False),
        ({"trainable": False}, False),
        ({"weight": 0}, False),
        ({"weight": 1}, True),
        ({"loss_weight": 0.0}, False),
        ({"loss_weight": 1.0}, True),
        ({"weight": None}, None),
        ({"weight": 1, "train": False}, False),
        ({"loss": False}, False),
        ({"loss": 2.31}, None),  # a loss that somebody measured
    ],
)
def test_a_turn_may_say_whether_it_is_learnt(said: dict[str, Any], train: bool | None) -> None:
    assert one({"role": "assistant", "content": "a", **said}).train is train


@pytest.mark.parametrize("weight", [0.5, 2, -1, "1", float("nan"), [], {}])
def test_a_weight_that_is_neither_0_nor_1_is_refused(weight: Any) -> None:
    assert reason({"role": "assistant", "content": "a", "loss_weight": weight}) == "unsupported_weight"


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        ("text", "message_without_role"),
        (None, "message_without_role"),
        ({}, "message_without_role"),
        ({"content": "a"}, "message_without_role"),
        ({"role": 3, "content": "a"}, "message_without_role"),
        ({"role": "narrator", "content": "a"}, "unknown_role_narrator"),
        ({"role": "user"}, "missing_content"),
        ({"role": "user", "content": None}, "null_content"),
        ({"role": "user", "content": " "}, "empty_content"),
        ({"role": "user", "content": []}, "empty_content"),
        ({"role": "assistant", "content": "", "tool_calls": []}, "empty_content"),
        ({"role": "user", "content": 3}, "wrong_type_content"),
        ({"role": "user", "content": "a", "tool_calls": [{"name": "f"}]}, "misplaced_tool_call"),
        ({"role": "user", "content": [{"type": "reasoning", "value": "a"}]}, "misplaced_reasoning"),
        ({"role": "tool", "content": "a", "tool_call_id": []}, "wrong_type_tool_call_id"),
        ({"role": "tool", "content": "a", "name": "\ud83d"}, "lone_surrogate_name"),
        ({"human": "a", "assistant": ""}, "empty_content"),
        ({"human": "a", "assistant": "\ud83d"}, "lone_surrogate_content"),
    ],
)
def test_a_turn_that_cannot_be_learnt_from_has_its_reason(turn: Any, code: str) -> None:
    assert reason(turn) == code


@pytest.mark.parametrize(
    ("user", "assistant"),
    [("human", "assistant"), ("user", "bot"), ("input", "output"), ("question", "answer")],
)
def test_an_object_may_hold_both_sides(user: str, assistant: str) -> None:
    messages = [Message(role="user", content="hi"), Message(role="assistant", content="hello")]
    assert messages_in({assistant: "hello", user: "hi"}) == messages
    system = Message(role="system", content="Be brief.")
    assert messages_in({user: "hi", assistant: "hello", "system": "Be brief."}) == [system, *messages]
    assert is_exchange({user: "hi", assistant: "hello"})
    assert not is_exchange({user: "hi"})


def test_a_table_may_write_a_list_of_turns_as_text() -> None:
    assert turns_in('[{"role": "user", "content": "hi"}]', "messages") == [Message(role="user", content="hi")]
    assert list_in(" [1, 2]") == [1, 2]
    assert list_in("[1, 2") == "[1, 2"
    assert list_in("plain") == "plain"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "missing_messages"),
        ([], "empty_messages"),
        ("text", "wrong_type_messages"),
        ("[1, 2", "wrong_type_messages"),
        ({"role": "user", "content": "a"}, "wrong_type_messages"),
        (3, "wrong_type_messages"),
    ],
)
def test_what_is_no_list_of_turns_has_its_reason(value: Any, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        turns_in(value, "messages")
    assert caught.value.reason == code


def test_bare_texts_are_said_in_turn_the_user_first() -> None:
    assert [message.role for message in alternating(["a", "b", "c"])] == ["user", "assistant", "user"]
    for texts, code in (
        (["a", 3], "wrong_type_turns"),
        (["a", " "], "empty_turns"),
        ([None], "wrong_type_turns"),
    ):
        with pytest.raises(Malformed, match=code):
            texts_in(texts, "turns")
