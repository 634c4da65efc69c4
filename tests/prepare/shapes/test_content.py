from typing import Any

import pytest

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.content import Content, content_of
from lorascope.run.message import ToolCall


def test_text_is_text_and_null_is_nothing() -> None:
    assert content_of(" a ") == Content(text=" a ")
    assert content_of(None) == Content() == content_of([])


@pytest.mark.parametrize(
    "part",
    [
        "hi",
        {"type": "text", "text": "hi"},
        {"type": "text", "value": "hi"},
        {"type": "input_text", "text": "hi"},
        {"type": "output_text", "text": "hi", "annotations": []},
        {"type": "text", "text": "hi", "image_url": None},  # as a table fills it
    ],
)
def test_a_part_of_text_is_its_text(part: Any) -> None:
    assert content_of([part]) == Content(text="hi")


def test_parts_are_put_together_by_kind_with_nothing_between() -> None:
    parts = [
        {"type": "reasoning", "value": "First "},
        {"type": "text", "value": "It "},
        {"type": "thinking", "thinking": "then."},
        {"type": "tool_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"type": "text", "value": "is."},
        {"type": "tool_call", "value": '{"name": "stop", "arguments": {}}'},
    ]
    assert content_of(parts) == Content(
        text="It is.",
        reasoning="First then.",
        calls=(ToolCall(name="add", arguments='{"a": 1}'), ToolCall(name="stop", arguments="{}")),
    )


def test_a_call_as_anthropic_writes_it_is_a_call() -> None:
    part = {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}
    assert content_of([part]).calls == (ToolCall(name="add", arguments='{"a": 1}', call_id="t1"),)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("image", "image_content"),
        ("image_url", "image_content"),
        ("input_audio", "audio_content"),
        ("video", "video_content"),
        ("file", "file_content"),
        ("poem", "unknown_part_poem"),
    ],
)
def test_a_part_that_is_no_text_is_refused_by_its_kind(kind: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        content_of([{"type": "text", "text": "look"}, {"type": kind, "value": "x.jpg"}])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "wrong_type_content"),
        (True, "wrong_type_content"),
        ({"text": "a"}, "wrong_type_content"),
        (b"a", "wrong_type_content"),
        ("\ud83d", "lone_surrogate_content"),
        ([3], "part_without_type"),
        ([None], "part_without_type"),
        ([{"text": "a"}], "part_without_type"),
        ([{"type": 3}], "part_without_type"),
        ([{"type": "text"}], "wrong_type_content"),
        ([{"type": "text", "text": 3}], "wrong_type_content"),
        ([{"type": "text", "text": "\ud83d"}], "lone_surrogate_content"),
        ([{"type": "tool_call", "value": "add(1)"}], "tool_call_not_json"),
        ([{"type": "tool_call"}], "tool_call_without_name"),
    ],
)
def test_content_that_cannot_be_read_has_its_reason(value: Any, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        content_of(value)
    assert caught.value.reason == reason
