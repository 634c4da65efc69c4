from collections.abc import Callable
from typing import Any

from lorascope.prepare.shapes.detect import detect, find_shape
from lorascope.prepare.shapes.shape import Part, Turns
from lorascope.run.data_sections import ColumnsSection


def turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_prompt_and_completion_may_be_turns(read: Callable[..., Part]) -> None:
    row = {
        "prompt": [turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
        "completion": [turn("assistant", "d")],
    }
    assert detect([row], "rows.json").described == "prompts and answers made of turns (prompt, completion)"
    found = read(row)
    assert isinstance(found, Turns)
    # The prompt's own answer is given, not learnt.
    assert [(one.content, one.train) for one in found.messages] == [
        ("a", None),
        ("b", False),
        ("c", None),
        ("d", None),
    ]


def test_a_side_may_be_a_text_or_one_turn(said: Callable[..., list[tuple[str, str]]]) -> None:
    expected = [("user", "a"), ("assistant", "b")]
    assert said({"prompt": [turn("user", "a")], "completion": "b"}) == expected
    assert said({"prompt": "a", "completion": turn("assistant", "b")}) == expected
    assert said({"prompt": "a", "completion": [{"from": "gpt", "value": "b"}]}) == expected


def test_a_side_that_is_none_has_its_reason(reason: Callable[..., str]) -> None:
    row = {"prompt": [turn("user", "a")], "completion": [turn("assistant", "b")]}
    assert reason({**row, "prompt": None}, row) == "null_prompt"
    assert reason({**row, "completion": []}, row) == "empty_completion"
    assert reason({**row, "completion": [turn("user", " ")]}, row) == "empty_content"
    assert reason({**row, "completion": 3}, row) == "wrong_type_completion"
    assert reason({"completion": "b"}, row) == "missing_prompt"


def test_columns_as_named_may_hold_turns() -> None:
    row = {"given": [turn("user", "a")], "wanted": [turn("assistant", "b")]}
    shape = find_shape([row], "rows.json", columns=ColumnsSection(prompt="given", answer="wanted"))
    (found,) = shape.read(row)
    assert isinstance(found, Turns)
    assert [message.content for message in found.messages] == ["a", "b"]
