import pytest

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.turns import exchange, finished, not_learnt, only_last_answer
from lorascope.run.message import Message, ToolCall


def turns(*said: str) -> list[Message]:
    """Turns as in "user: hi"."""
    pairs = [one.partition(": ") for one in said]
    return [Message(role=role, content=content) for role, _, content in pairs]


def test_turns_stay_as_they_are() -> None:
    messages = turns("system: brief", "user: a", "assistant: b", "user: c", "assistant: d")
    found = finished(messages, tools="[]")
    assert found.messages == tuple(messages)
    assert (found.tools, found.num_unanswered, found.num_rejected, found.odd) == ("[]", 0, 0, ())


def test_what_stands_behind_the_last_answer_is_left_out_and_counted() -> None:
    found = finished(turns("user: a", "assistant: b", "user: c", "system: d"))
    assert found.messages == tuple(turns("user: a", "assistant: b"))
    assert found.num_unanswered == 2


def test_a_users_turns_in_a_row_are_joined_and_said_to_be() -> None:
    found = finished(turns("user: a", "user: b", "assistant: c", "user: d", "user: e", "assistant: f"))
    assert found.messages == tuple(turns("user: a\n\nb", "assistant: c", "user: d\n\ne", "assistant: f"))
    assert found.odd == ("joined_user_turns",)


def test_system_prompts_in_a_row_are_joined_and_the_same_one_stands_once() -> None:
    question = turns("user: a", "assistant: b")
    found = finished([*turns("system: x", "system: y"), *question])
    assert found.messages == tuple([*turns("system: x\n\ny"), *question])
    assert found.odd == ("joined_system_turns",)
    for same in (
        turns("system: x", "system: x"),
        turns("system: x", "system: "),
        turns("system: ", "system: x"),
    ):
        found = finished([*same, *question])
        assert found.messages == tuple([*turns("system: x"), *question])
        assert found.odd == ()


def test_answers_in_a_row_stay_apart() -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),))
    messages = [*turns("user: a"), call, *turns("tool: 3", "tool: 4", "assistant: b", "assistant: c")]
    assert finished(messages).messages == tuple(messages)


def test_a_call_may_be_the_last_answer() -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),))
    found = finished([*turns("user: a"), call, *turns("tool: 3")])
    assert found.messages[-1] == call
    assert found.num_unanswered == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([], "no_answer"),
        (["user: a"], "no_answer"),
        (["system: a"], "no_answer"),
        (["assistant: a", "user: b", "assistant: c"], "starts_with_answer"),
        (["system: a", "assistant: b"], "starts_with_answer"),
        (["tool: a", "assistant: b"], "starts_with_tool_result"),
    ],
)
def test_turns_that_are_no_conversation_have_their_reason(said: list[str], reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        finished(turns(*said))
    assert caught.value.reason == reason


def test_a_conversation_of_which_nothing_is_learnt_is_malformed() -> None:
    answers = [Message(role="assistant", content="b", train=False)]
    with pytest.raises(Malformed, match="nothing_to_train"):
        finished([*turns("user: a"), *answers])
    assert finished([*turns("user: a"), *answers, *turns("user: c", "assistant: d")])


def test_only_answers_keep_what_they_say_about_learning() -> None:
    asks = Message(role="user", content="a", train=True)
    silent = Message(role="user", content="a", train=False)
    answer = Message(role="assistant", content="b", train=True)
    assert finished([silent, answer]).messages == (*turns("user: a"), answer)
    assert finished([silent, answer]).odd == ()
    assert finished([asks, answer]).messages == (*turns("user: a"), answer)
    assert finished([asks, answer]).odd == ("trains_other_turns",)


def test_marks_of_what_is_not_learnt() -> None:
    messages = turns("user: a", "assistant: b", "user: c", "assistant: d", "user: e")
    assert [one.train for one in only_last_answer(messages)] == [None, False, None, None, None]
    assert [one.train for one in not_learnt(messages)] == [None, False, None, False, None]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Message(role="user", content="a"), Message(role="assistant", content="b")),
        (Message(role="user", content="N/A", context="null"), Message(role="assistant", content="undefined")),
        (
            Message(role="user", content="I am {{name}}"),
            Message(role="assistant", content="{{a}}", reasoning="r"),
        ),
    ],
)
def test_the_short_way_for_one_exchange_comes_to_the_same(question: Message, answer: Message) -> None:
    assert exchange(question, answer, ("no_input",)) == finished([question, answer], odd=("no_input",))
