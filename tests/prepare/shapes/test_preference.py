from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect, shape_named
from lorascope.prepare.shapes.shape import NotChosen, Part, Turns
from lorascope.run.message import Message

USER = {"role": "user", "content": "a"}
GOOD = {"role": "assistant", "content": "b"}
BAD = {"role": "assistant", "content": "worse"}
AB = [("user", "a"), ("assistant", "b")]


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "worse"}, "prompt, chosen, rejected"),
        ({"question": "a", "response_j": "b", "response_k": "worse"}, "question, response_j, response_k"),
        ({"instruction": "a", "chosen": "b", "rejected": "worse"}, "instruction, chosen, rejected"),
        ({"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}, "prompt, chosen, rejected"),
        ({"prompt": "a", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "prompt, chosen, rejected"),
        ({"chosen": [USER, GOOD], "rejected": [USER, BAD]}, "chosen, rejected"),
        (
            {
                "conversations": [{"from": "human", "value": "a"}],
                "chosen": {"from": "gpt", "value": "b"},
                "rejected": {"from": "gpt", "value": "worse"},
            },
            "conversations, chosen, rejected",
        ),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: worse"},
            "chosen, rejected",
        ),
    ],
)
def test_only_the_chosen_answer_is_read(
    row: Any, columns: str, read: Callable[..., Part], said: Callable[..., list[tuple[str, str]]]
) -> None:
    shape = detect([row], "rows.json")
    assert shape.name == "preference"
    assert shape.described == f"preference pairs ({columns}): only the chosen answers are learnt"
    assert said(row) == AB
    found = read(row)
    assert isinstance(found, Turns)
    assert found.num_rejected == 1


def test_answers_before_the_one_that_was_judged_are_not_learnt(read: Callable[..., Part]) -> None:
    row = {"prompt": [USER, GOOD, USER], "chosen": GOOD, "rejected": BAD}
    whole = {"chosen": [USER, GOOD, USER, GOOD], "rejected": [USER, GOOD, USER, BAD]}
    for one in (row, whole):
        found = read(one)
        assert isinstance(found, Turns)
        assert [message.train for message in found.messages] == [None, False, None, None]


def test_a_system_prompt_and_several_speakers_are_kept(said: Callable[..., list[tuple[str, str]]]) -> None:
    text = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: Human: no,\nAssistant: no."
    row = {"chosen": text, "rejected": "x"}
    assert said(row) == [*AB, ("user", "c"), ("assistant", "Human: no,\nAssistant: no.")]
    pair = {"system": "s", "prompt": "a", "chosen": "b", "rejected": "c"}
    assert said(pair) == [("system", "s"), *AB]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "a", "rejected": "c"}, "missing_chosen"),
        ({"prompt": "a", "chosen": None, "rejected": "c"}, "null_chosen"),
        ({"prompt": "a", "chosen": "", "rejected": "c"}, "empty_chosen"),
        ({"prompt": "a", "chosen": 3, "rejected": "c"}, "wrong_type_chosen"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "empty_prompt"),
        ({"chosen": "b", "rejected": "c"}, "missing_prompt"),
        ({"prompt": "a", "chosen": [USER], "rejected": "c"}, "no_answer"),
        ("a", "not_an_object"),
    ],
)
def test_a_pair_that_cannot_be_read_has_its_reason(row: Any, code: str, reason: Callable[..., str]) -> None:
    assert reason(row, {"prompt": "a", "chosen": "b", "rejected": "c"}) == code


def test_a_chosen_text_without_a_prompt_has_its_reason(reason: Callable[..., str]) -> None:
    row = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "c"}
    assert reason({"chosen": "b", "rejected": "c"}, row) == "missing_prompt"
    assert reason({"chosen": "\n\nHuman: a\n\nAssistant:", "rejected": "c"}, row) == "empty_content"
    assert reason({"chosen": [GOOD], "rejected": "c"}, row) == "missing_prompt"


def test_a_row_without_a_rejected_answer_counts_none(read: Callable[..., Part]) -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    found = read({**row, "rejected": None}, row)
    assert isinstance(found, Turns)
    assert found.num_rejected == 0


def test_scores_called_chosen_are_no_answers() -> None:
    assert detect([{"prompt": "a", "completion": "b", "chosen": 3.5, "rejected": 1.0}], "x").name == "pairs"


JUDGED = {"messages": [USER, GOOD], "label": True}


def test_answers_that_people_liked_are_read_and_the_others_counted(
    read: Callable[..., Part], said: Callable[..., list[tuple[str, str]]]
) -> None:
    shape = detect([JUDGED], "rows.json")
    assert shape.name == "preference"
    assert shape.described == "judged answers (messages, label): only rows whose label is true are learnt"
    assert said(JUDGED) == AB
    assert read({**JUDGED, "label": False}, JUDGED) == NotChosen()
    # What people turned down is not looked at: nothing of it can be malformed.
    assert read({"messages": None, "label": False}, JUDGED) == NotChosen()


def test_answers_before_the_one_that_was_liked_are_not_learnt(read: Callable[..., Part]) -> None:
    found = read({"messages": [USER, GOOD, USER, GOOD], "label": True})
    assert isinstance(found, Turns)
    assert found.messages[1] == Message(role="assistant", content="b", train=False)
    assert found.messages[3] == Message(role="assistant", content="b")


def test_a_prompt_and_an_answer_may_be_judged(read: Callable[..., Part]) -> None:
    row = {"prompt": "a", "completion": "b", "label": True}
    shape = detect([row], "rows.json")
    assert shape.described == (
        "judged answers (prompt, completion, label): only rows whose label is true are learnt"
    )
    assert isinstance(read(row), Turns)
    assert read({**row, "label": False}, row) == NotChosen()
    assert read({**row, "label": "False"}, row) == NotChosen()


@pytest.mark.parametrize(
    ("label", "code"),
    [(None, "null_label"), ("maybe", "wrong_type_label"), (7, "wrong_type_label"), ([], "wrong_type_label")],
)
def test_a_label_that_says_neither_has_its_reason(label: Any, code: str, reason: Callable[..., str]) -> None:
    assert reason({**JUDGED, "label": label}, JUDGED) == code
    assert reason({"messages": JUDGED["messages"]}, JUDGED) == "missing_label"


@pytest.mark.parametrize("label", ["sports", 3, 1, None])
def test_a_label_of_another_kind_is_a_column_like_others(label: Any) -> None:
    assert detect([{"messages": [USER, GOOD], "label": label}], "rows.json").name == "messages"


def test_the_user_may_read_every_answer_all_the_same(read: Callable[..., Part]) -> None:
    shape = shape_named("messages", [JUDGED], "rows.json")
    (found,) = shape.read({**JUDGED, "label": False})
    assert isinstance(found, Turns)


def test_an_input_beside_compared_answers_is_part_of_the_prompt(read: Callable[..., Part]) -> None:
    row = {"instruction": "Say it again.", "input": "Hello", "chosen": "Hello", "rejected": "Bye"}
    found = read(row)
    assert isinstance(found, Turns)
    assert (found.messages[0].content, found.messages[0].context) == ("Say it again.", "Hello")
    empty = read({**row, "input": ""})
    assert isinstance(empty, Turns) and empty.messages[0].context == ""


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"prompt": "a", "completion": "b", "label": 1}, {"prompt": "a", "completion": "c", "label": 0}),
        ({"prompt": "a", "response": "b", "label": "1"}, {"prompt": "a", "response": "c", "label": "0"}),
        (
            {"instruction": "a", "input": "", "output": "b", "kto_tag": True},
            {"instruction": "a", "input": "", "output": "c", "kto_tag": False},
        ),
        ({"messages": [USER, GOOD], "kto_tag": 1}, {"messages": [USER, BAD], "kto_tag": 0}),
    ],
)
def test_turned_down_answers_are_told_by_numbers_and_by_kto_tag(good: Any, bad: Any) -> None:
    shape = detect([good, bad], "rows.json")
    assert shape.name == "preference"
    (kept,), (left_out,) = shape.read(good), shape.read(bad)
    assert isinstance(kept, Turns) and kept.messages[-1].content == "b"
    assert isinstance(left_out, NotChosen)


def test_a_class_of_a_text_is_no_judgement() -> None:
    rows = [{"messages": [USER, GOOD], "label": label} for label in (0, 1)]
    assert detect(rows, "rows.json").name == "messages"
    rows = [{"instruction": "a", "output": "b", "label": label} for label in (0, 1)]
    assert detect(rows, "rows.json").name == "alpaca"
