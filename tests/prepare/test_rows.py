from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow
from lorascope.prepare.rows import Conversation, conversation_of, detect_shape
from lorascope.run.message import Message

USER = {"role": "user", "content": "question"}
ASSISTANT = {"role": "assistant", "content": "answer"}
SYSTEM = {"role": "system", "content": "be brief"}


def read(value: Any, shape: str = "alpaca") -> Conversation | BadRow:
    return conversation_of(SourceRow(7, value), shape, "rows.json", 3)


def reason(value: Any, shape: str = "alpaca") -> str:
    row = read(value, shape)
    assert isinstance(row, BadRow), row
    assert row.line == 7
    return row.reason


def turns(value: Any) -> list[tuple[str, str]]:
    row = read(value, "messages")
    assert isinstance(row, Conversation), row
    return [(message.role, message.content) for message in row.messages]


@pytest.mark.parametrize(
    ("columns", "shape"),
    [
        (["instruction", "input", "output"], "alpaca"),
        (["output", "instruction"], "alpaca"),
        (["messages"], "messages"),
        (["messages", "instruction", "output"], "messages"),
        (["id", "messages", "tools"], "messages"),
    ],
)
def test_the_columns_decide_the_shape(columns: list[str], shape: str) -> None:
    assert detect_shape(columns, "rows.json") == shape


def test_unknown_columns_are_named_with_what_is_missing() -> None:
    with pytest.raises(DataError) as caught:
        detect_shape(["instructions", "outputs", "id"], "rows.json")
    assert "found id, instructions, outputs" in caught.value.message
    assert '"instruction": did you mean "instructions"?' in caught.value.message
    assert '"output": did you mean "outputs"?' in caught.value.message


def test_an_alpaca_row_is_a_question_and_an_answer() -> None:
    row = read({"instruction": " add ", "input": "1 2", "output": "3\n", "id": 9})
    assert isinstance(row, Conversation)
    assert row.messages == (
        Message(role="user", content=" add ", context="1 2"),
        Message(role="assistant", content="3\n"),
    )
    assert (row.example_id, row.line, row.row) == ("rows.json#3", 7, 3)


@pytest.mark.parametrize("value", ["", "  \n", None])
def test_a_blank_input_is_no_input(value: str | None) -> None:
    row = read({"instruction": "a", "input": value, "output": "b"})
    assert isinstance(row, Conversation)
    assert row.messages[0].context == ""


@pytest.mark.parametrize("name", ["instruction", "output"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "null"),
        ("", "empty"),
        (" \t\n", "empty"),
        (3, "wrong_type"),
        (True, "wrong_type"),
        (["a"], "wrong_type"),
        ({"a": 1}, "wrong_type"),
        ("half \ud83d", "lone_surrogate"),
    ],
)
def test_a_field_that_is_no_text_is_a_bad_row(name: str, value: Any, code: str) -> None:
    assert reason({"instruction": "a", "output": "b", name: value}) == f"{code}_{name}"


@pytest.mark.parametrize("name", ["instruction", "output"])
def test_a_missing_field_is_a_bad_row(name: str) -> None:
    row = {"instruction": "a", "output": "b"}
    del row[name]
    assert reason(row) == f"missing_{name}"


@pytest.mark.parametrize(
    ("value", "code"), [(3, "wrong_type_input"), ([], "wrong_type_input"), ("\udc00", "lone_surrogate_input")]
)
def test_an_input_that_is_no_text_is_a_bad_row(value: Any, code: str) -> None:
    assert reason({"instruction": "a", "input": value, "output": "b"}) == code


@pytest.mark.parametrize("word", ["undefined", "null", "None", "noinput", "{{name}}", "NaN", "0"])
def test_words_that_look_like_no_value_are_text(word: str) -> None:
    assert isinstance(read({"instruction": word, "input": word, "output": word}), Conversation)


@pytest.mark.parametrize("value", [None, 3, "text", ["a"], True])
@pytest.mark.parametrize("shape", ["alpaca", "messages"])
def test_a_value_without_columns_is_a_bad_row(value: Any, shape: str) -> None:
    assert reason(value, shape) == "not_an_object"


def test_messages_keep_their_turns() -> None:
    messages = [SYSTEM, USER, ASSISTANT, USER, ASSISTANT]
    assert turns({"messages": messages}) == [(one["role"], one["content"]) for one in messages]


def test_turns_behind_the_last_answer_are_left_out_and_counted() -> None:
    row = read({"messages": [USER, ASSISTANT, USER, SYSTEM]}, "messages")
    assert isinstance(row, Conversation)
    assert [message.role for message in row.messages] == ["user", "assistant"]
    assert row.num_unanswered == 2


def test_an_empty_system_message_is_allowed() -> None:
    assert len(turns({"messages": [{"role": "system", "content": ""}, USER, ASSISTANT]})) == 3


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (None, "missing_messages"),
        ([], "wrong_type_messages"),
        ("text", "wrong_type_messages"),
        ({"role": "user"}, "wrong_type_messages"),
        (["text"], "message_without_role"),
        ([{"content": "a"}], "message_without_role"),
        ([{"role": 3, "content": "a"}], "message_without_role"),
        ([{"role": "human", "content": "a"}], "unknown_role_human"),
        ([{"role": "tool", "content": "a"}], "unknown_role_tool"),
        ([{"role": "user"}], "missing_content"),
        ([{"role": "user", "content": None}], "null_content"),
        ([USER, {"role": "assistant", "content": " "}], "empty_content"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], "wrong_type_content"),
        ([{"role": "user", "content": "\ud83d"}, ASSISTANT], "lone_surrogate_content"),
        ([USER], "no_answer"),
        ([SYSTEM], "no_answer"),
        ([ASSISTANT, USER, ASSISTANT], "starts_with_answer"),
        ([SYSTEM, ASSISTANT], "starts_with_answer"),
    ],
)
def test_messages_that_are_no_conversation_are_a_bad_row(messages: Any, code: str) -> None:
    assert reason({"messages": messages}, "messages") == code


def test_an_answer_that_people_rejected_is_not_one_to_imitate() -> None:
    messages = [USER, ASSISTANT]
    assert reason({"messages": messages, "label": False}, "messages") == "label_is_false"
    assert turns({"messages": messages, "label": True})


def test_an_unknown_role_is_cut_short_and_printable() -> None:
    assert (
        reason({"messages": [{"role": "a\n" * 40, "content": "x"}]}, "messages")
        == "unknown_role_" + "a\\n" * 6 + "a\\"
    )


def test_short_columns_beside_the_text_become_labels() -> None:
    row = read(
        {
            "instruction": "a",
            "output": "b",
            "topic": "sea",
            "level": 3,
            "long": "x" * 61,
            "list": [1],
            "odd": "\ud83d",
        }
    )
    assert isinstance(row, Conversation)
    assert row.labels == {"topic": "sea", "level": "3"}
