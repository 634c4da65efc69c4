import json
from typing import Any

import pytest

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.tools import calls_in, identifier, tools_in
from lorascope.run.message import ToolCall

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
INSIDE = {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}
OPENAI = {"type": "function", "function": INSIDE}


@pytest.mark.parametrize(
    "value",
    [
        [OPENAI],
        [INSIDE],
        OPENAI,
        INSIDE,
        json.dumps([OPENAI]),
        json.dumps([INSIDE]),
        json.dumps(INSIDE),
        [json.dumps(INSIDE)],
        [{"function": INSIDE}],
        [{"name": "weather", "description": "Of a city.", "input_schema": SCHEMA}],
        [{"type": "function", **INSIDE}],  # as OpenAI's newer interface has it
    ],
)
def test_every_way_to_write_a_tool_comes_to_one(value: Any) -> None:
    assert json.loads(tools_in(value)) == [OPENAI]


@pytest.mark.parametrize("value", [None, "", " ", "[]", [], {}, "null"])
def test_no_tools_are_no_text(value: Any) -> None:
    assert tools_in(value) == ""


def test_a_tool_without_parameters_gets_none() -> None:
    assert json.loads(tools_in([{"name": "now"}])) == [{"type": "function", "function": {"name": "now"}}]


def test_nulls_that_a_table_put_into_a_schema_are_taken_out() -> None:
    # Parquet gives each row's properties the keys of every row: "date" belongs to another tool.
    filled = {**INSIDE, "parameters": {**SCHEMA, "properties": {"city": {"type": "string"}, "date": None}}}
    assert json.loads(tools_in([filled])) == [OPENAI]


def test_nulls_that_a_text_writes_stay() -> None:
    tool = {**INSIDE, "parameters": {**SCHEMA, "required": None}}
    for value in (json.dumps([tool]), [json.dumps(tool)]):
        assert json.loads(tools_in(value)) == [{"type": "function", "function": tool}]


def test_a_default_that_is_null_is_meant_so() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "default": None}}}
    tool = {"name": "weather", "parameters": schema}
    assert json.loads(tools_in([tool])) == [{"type": "function", "function": tool}]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("weather(city)", "tools_not_json"),
        ("3", "wrong_type_tools"),
        (3, "wrong_type_tools"),
        ([3], "wrong_type_tools"),
        (["{"], "tools_not_json"),
        ([{"description": "nameless"}], "tool_without_name"),
        ([{"name": " "}], "tool_without_name"),
        ([{"function": {"name": 3}}], "tool_without_name"),
        ([{"name": "a", "parameters": {"x": float("nan")}}], "unwritable_tools"),
        ([{"name": "\ud83d"}], "unwritable_tools"),
    ],
)
def test_tools_that_cannot_be_read_have_their_reason(value: Any, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        tools_in(value)
    assert caught.value.reason == reason


CALL = ToolCall(name="weather", arguments='{"city": "Rome"}')


@pytest.mark.parametrize(
    "value",
    [
        {"name": "weather", "arguments": {"city": "Rome"}},
        {"name": "weather", "arguments": '{"city": "Rome"}'},
        {"name": "weather", "parameters": {"city": "Rome"}},
        {"name": "weather", "input": {"city": "Rome"}},
        {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
        '{"name": "weather", "arguments": {"city": "Rome"}}',
        [{"name": "weather", "arguments": {"city": "Rome"}}],
        '[{"name": "weather", "arguments": {"city": "Rome"}}]',
    ],
)
def test_every_way_to_write_a_call_comes_to_one(value: Any) -> None:
    assert calls_in(value) == (CALL,)


def test_arguments_that_are_text_stay_letter_by_letter() -> None:
    text = '{"b":1,  "a": 2.50}'
    assert calls_in({"name": "f", "arguments": text})[0].arguments == text


@pytest.mark.parametrize("arguments", ["", "  ", {}, None])
def test_a_call_without_arguments_has_an_empty_object(arguments: Any) -> None:
    assert calls_in({"name": "now", "arguments": arguments}) == (ToolCall(name="now", arguments="{}"),)
    assert calls_in({"name": "now"}) == (ToolCall(name="now", arguments="{}"),)


def test_several_calls_keep_their_order_and_their_ids() -> None:
    calls = [{"id": f"c{n}", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(3)]
    assert [(one.name, one.call_id) for one in calls_in(calls)] == [("f0", "c0"), ("f1", "c1"), ("f2", "c2")]


@pytest.mark.parametrize("value", [None, [], "", " "])
def test_no_call_is_none(value: Any) -> None:
    assert calls_in(value) == ()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("weather(Rome)", "tool_call_not_json"),
        (3, "wrong_type_tool_call"),
        ([[]], "wrong_type_tool_call"),
        ({}, "tool_call_without_name"),
        ({"arguments": {}}, "tool_call_without_name"),
        ({"name": ""}, "tool_call_without_name"),
        ({"name": "f", "arguments": "city=Rome"}, "tool_arguments_not_json"),
        ({"name": "f", "arguments": "[1]"}, "tool_arguments_not_object"),
        ({"name": "f", "arguments": [1]}, "tool_arguments_not_object"),
        ({"name": "f", "arguments": {"x": float("inf")}}, "tool_arguments_not_json"),
        ({"name": "f\ud83d"}, "lone_surrogate_tool_call"),
        ({"name": "f", "id": []}, "wrong_type_tool_call"),
    ],
)
def test_calls_that_cannot_be_read_have_their_reason(value: Any, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        calls_in(value)
    assert caught.value.reason == reason


def test_an_id_may_be_a_number() -> None:
    assert [identifier(one, "id") for one in (None, "c1", 7)] == ["", "c1", "7"]
    with pytest.raises(Malformed, match="wrong_type_id"):
        identifier(True, "id")
