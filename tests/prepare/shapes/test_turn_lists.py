from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import Part, Turns

BOTH = {"input": ["a", "c"], "output": ["b", "d"]}
ABCD = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]


@pytest.mark.parametrize(
    ("row", "described"),
    [
        (BOTH, "lists of turns (input: the user's, output: the assistant's)"),
        (
            {"user": ["a", "c"], "assistant": ["b", "d"]},
            "lists of turns (user: the user's, assistant: the assistant's)",
        ),
        (["a", "b", "c", "d"], "lists of turns, the user's first"),
        ({"dialog": ["a", "b", "c", "d"]}, "lists of turns (dialog), the user's first"),
        ({"messages": ["a", "b", "c", "d"]}, "lists of turns (messages), the user's first"),
    ],
)
def test_lists_of_texts_are_turns(
    row: Any, described: str, said: Callable[..., list[tuple[str, str]]]
) -> None:
    shape = detect([row], "rows.json")
    assert (shape.name, shape.described) == ("turn_lists", described)
    assert said(row) == ABCD


@pytest.mark.parametrize("row", [["a", "b", "c"], {"input": ["a", "c"], "output": ["b"]}])
def test_a_question_at_the_end_is_left_out_and_counted(row: Any, read: Callable[..., Part]) -> None:
    found = read(row)
    assert isinstance(found, Turns)
    assert [message.content for message in found.messages] == ["a", "b"]
    assert found.num_unanswered == 1


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"input": ["a"], "output": ["b", "c"]}, "turns_do_not_pair"),
        ({"input": ["a", "b", "c"], "output": ["d"]}, "turns_do_not_pair"),
        ({"input": ["a"], "output": []}, "empty_output"),
        ({"input": ["a"], "output": None}, "missing_output"),
        ({"input": ["a"], "output": "b"}, "wrong_type_output"),
        ({"input": ["a"], "output": [" "]}, "empty_output"),
        ({"input": ["a"], "output": [3]}, "wrong_type_output"),
        (["a"], "not_an_object"),
    ],
)
def test_lists_that_are_no_talk_have_their_reason(row: Any, code: str, reason: Callable[..., str]) -> None:
    assert reason(row, BOTH) == code


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ([], "empty_turns"),
        (["a"], "no_answer"),
        (["a", ""], "empty_turns"),
        (["a", 3], "wrong_type_turns"),
        ("a", "wrong_type_turns"),
        (None, "missing_turns"),
        ({"a": "b"}, "wrong_type_turns"),
    ],
)
def test_a_row_that_is_no_list_of_texts_has_its_reason(
    row: Any, code: str, reason: Callable[..., str]
) -> None:
    assert reason(row, ["a", "b"]) == code
