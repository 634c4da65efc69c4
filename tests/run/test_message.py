"""Turns are stored whole and read back the same."""

import dataclasses

from lorascope.run.message import Message, ToolCall, as_record, message_of


def test_a_turn_comes_back_as_it_was() -> None:
    call = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="c1")
    for message in (
        Message(role="assistant", reasoning="Look it up.", tool_calls=(call,), train=False),
        Message(role="tool", content="19 degrees", tool_name="weather", call_id="c1"),
    ):
        assert message_of(as_record(message)) == message


def test_a_record_has_every_attribute_of_a_turn() -> None:
    assert list(as_record(Message(role="user"))) == [one.name for one in dataclasses.fields(Message)]


def test_a_turn_of_an_older_run_keeps_the_defaults() -> None:
    old = {"role": "user", "content": "Add.", "context": "1"}
    assert message_of(old) == Message(role="user", content="Add.", context="1")
