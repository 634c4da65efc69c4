import json
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import Part, Turns
from lorascope.run.message import Message, ToolCall

USER = {"role": "user", "content": "question"}
ASSISTANT = {"role": "assistant", "content": "answer"}
SYSTEM = {"role": "system", "content": "be brief"}
HUMAN = {"from": "human", "value": "question"}
GPT = {"from": "gpt", "value": "answer"}
TOOLS = [{"name": "add", "parameters": {"type": "object"}}]


@pytest.mark.parametrize(
    ("row", "name", "described"),
    [
        ({"messages": [USER, ASSISTANT]}, "messages", "OpenAI messages (role/content)"),
        ({"id": 1, "messages": [USER, ASSISTANT]}, "messages", "OpenAI messages (role/content)"),
        ({"conversations": [HUMAN, GPT]}, "sharegpt", "ShareGPT conversations (from/value)"),
        ({"conversation": [HUMAN, GPT]}, "sharegpt", "ShareGPT conversations (from/value)"),
        ({"dialog": [USER, ASSISTANT]}, "messages", "OpenAI messages (role/content)"),
        ({"messages": [HUMAN, GPT]}, "sharegpt", "ShareGPT conversations (from/value)"),
        (
            {"conversations": [HUMAN, GPT], "tools": "[]"},
            "sharegpt",
            "ShareGPT conversations (from/value) with tools",
        ),
        ({"messages": json.dumps([USER, ASSISTANT])}, "messages", "OpenAI messages (role/content)"),
        ({"messages": json.dumps([HUMAN, GPT])}, "sharegpt", "ShareGPT conversations (from/value)"),
        ([USER, ASSISTANT], "messages", "OpenAI messages (role/content), one list per row"),
        ([HUMAN, GPT], "sharegpt", "ShareGPT conversations (from/value), one list per row"),
        (
            {"conversation": [{"human": "question", "assistant": "answer"}]},
            "sharegpt",
            "conversations of both sides (human/assistant)",
        ),
    ],
)
def test_a_list_of_turns_is_read_however_it_is_written(
    row: Any, name: str, described: str, said: Callable[..., list[tuple[str, str]]]
) -> None:
    shape = detect([row], "rows.json")
    assert (shape.name, shape.described) == (name, described)
    assert said(row) == [("user", "question"), ("assistant", "answer")]


def test_messages_win_over_other_columns() -> None:
    row = {"messages": [USER, ASSISTANT], "instruction": "a", "output": "b", "prompt": "c"}
    assert detect([row], "rows.json").name == "messages"


@pytest.mark.parametrize("value", [None, [], [3], [{"content": "a"}], [[1]]])
def test_a_column_called_messages_is_one_of_messages_even_where_it_is_broken(value: Any) -> None:
    assert detect([{"messages": value}], "rows.json").name == "messages"


def test_a_good_column_of_turns_wins_over_an_empty_one_called_messages() -> None:
    shape = detect([{"messages": None, "conversations": [HUMAN, GPT]}], "rows.json")
    assert "conversations" in shape.columns


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (None, "missing_messages"),
        ([], "empty_messages"),
        ("text", "wrong_type_messages"),
        ({"role": "user"}, "wrong_type_messages"),
        (["text"], "message_without_role"),
        ([{"content": "a"}], "message_without_role"),
        ([{"role": 3, "content": "a"}], "message_without_role"),
        ([{"role": "narrator", "content": "a"}], "unknown_role_narrator"),
        ([{"role": "user"}], "missing_content"),
        ([{"role": "user", "content": None}], "null_content"),
        ([USER, {"role": "assistant", "content": " "}], "empty_content"),
        ([{"role": "user", "content": 3}], "wrong_type_content"),
        ([{"role": "user", "content": "\ud83d"}, ASSISTANT], "lone_surrogate_content"),
        ([USER], "no_answer"),
        ([SYSTEM], "no_answer"),
        ([ASSISTANT, USER, ASSISTANT], "starts_with_answer"),
        ([SYSTEM, ASSISTANT], "starts_with_answer"),
        ([USER, {**ASSISTANT, "train": False}], "nothing_to_train"),
        ([USER, {**ASSISTANT, "weight": 0.5}], "unsupported_weight"),
    ],
)
def test_messages_that_are_no_conversation_have_their_reason(
    messages: Any, code: str, reason: Callable[..., str]
) -> None:
    assert reason({"messages": messages}, {"messages": [USER, ASSISTANT]}) == code


@pytest.mark.parametrize("value", [None, 3, "text", ["a"], True, [USER, ASSISTANT]])
def test_a_value_without_columns_is_no_object(value: Any, reason: Callable[..., str]) -> None:
    assert reason(value, {"messages": [USER, ASSISTANT]}) == "not_an_object"


@pytest.mark.parametrize("column", ["system", "system_prompt", "System Prompt"])
def test_a_system_prompt_may_stand_in_a_column_of_its_own(
    column: str, said: Callable[..., list[tuple[str, str]]], reason: Callable[..., str]
) -> None:
    row = {"conversations": [HUMAN, GPT], column: "be brief"}
    assert said(row)[0] == ("system", "be brief")
    assert said({**row, column: ""}, row)[0] == ("user", "question")
    assert said({**row, column: None}, row)[0] == ("user", "question")
    assert reason({**row, column: 3}, row).startswith("wrong_type_system")


def test_a_column_that_only_later_rows_have_is_read(said: Callable[..., list[tuple[str, str]]]) -> None:
    row = {"conversations": [HUMAN, GPT]}
    assert said({**row, "system": "be brief"}, row)[0] == ("system", "be brief")


def test_tools_come_in_one_form_and_only_where_there_are_any(read: Callable[..., Part]) -> None:
    row = {"conversations": [HUMAN, GPT], "tools": json.dumps(TOOLS)}
    found = read(row)
    assert isinstance(found, Turns)
    assert json.loads(found.tools) == [{"type": "function", "function": TOOLS[0]}]
    for none in ("[]", "", None, []):
        empty = read({**row, "tools": none}, row)
        assert isinstance(empty, Turns)
        assert empty.tools == ""
    assert read({**row, "tools": "{"}, row) == "tools_not_json"
    assert read({"messages": [USER, ASSISTANT], "functions": TOOLS}) == read(
        {"messages": [USER, ASSISTANT], "tools": TOOLS}
    )


def test_a_talk_of_an_agent_keeps_calls_results_and_reasoning(read: Callable[..., Part]) -> None:
    def call(number: int) -> dict[str, Any]:
        return {"id": f"c{number}", "type": "function", "function": {"name": "add", "arguments": "{}"}}

    row = {
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "add"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [call(1), call(2)],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "assistant", "content": "one moment", "train": False},
            {"role": "assistant", "content": "3"},
        ]
    }
    found = read(row)
    assert isinstance(found, Turns)
    calls = tuple(ToolCall(name="add", arguments="{}", call_id=f"c{number}") for number in (1, 2))
    assert found.messages == (
        Message(role="system", content="be brief"),
        Message(role="user", content="add"),
        Message(role="assistant", reasoning="hm", tool_calls=calls),
        Message(role="tool", content="3", call_id="c1"),
        Message(role="tool", content="", call_id="c2"),
        Message(role="assistant", content="one moment", train=False),
        Message(role="assistant", content="3"),
    )
    assert found.odd == ()


def test_a_row_whose_words_refer_to_a_picture_is_refused(reason: Callable[..., str], said: Any) -> None:
    row = {"conversations": [{"from": "human", "value": "<image> What?"}, GPT], "images": ["a.jpg"]}
    assert reason(row) == "image_content"
    assert said({**row, "images": []}, row)[0] == ("user", "<image> What?")  # about the word, it seems
    assert said({**row, "conversations": [HUMAN, GPT]}, row)[0] == ("user", "question")
