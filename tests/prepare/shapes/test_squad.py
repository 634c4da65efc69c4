from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import Turns
from lorascope.run.message import Message


def about(context: str, question: str, answer: str) -> Turns:
    return Turns(
        messages=(
            Message(role="user", content=question, context=context),
            Message(role="assistant", content=answer),
        )
    )


def asked(question: str, *answers: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "question": question,
        "answers": [{"text": one, "answer_start": 0} for one in answers],
        **more,
    }


ARTICLE = {
    "title": "Sea",
    "paragraphs": [
        {
            "context": "The sea is wide.",
            "qas": [asked("How is it?", "wide", "very wide"), asked("What is?", "the sea")],
        },
        {"context": "It is deep.", "qas": [asked("How is it?", "deep")]},
    ],
}


def test_each_question_is_a_conversation_about_its_passage() -> None:
    shape = detect([ARTICLE], "rows.json")
    assert shape.name == "squad"
    assert shape.read(ARTICLE) == [
        about("The sea is wide.", "How is it?", "wide"),
        about("The sea is wide.", "What is?", "the sea"),
        about("It is deep.", "How is it?", "deep"),
    ]


def test_a_question_without_an_answer_hides_no_other() -> None:
    paragraphs = [
        {
            "context": "It is deep.",
            "qas": [asked("Who?"), asked("Why?", "it", is_impossible=True), asked("How?", "deep")],
        },
        {"context": "", "qas": [asked("How?", "deep")]},
        {"context": "It is deep."},
        {"context": "It is deep.", "qas": [{"question": " ", "answers": []}, 3]},
        3,
    ]
    assert detect([ARTICLE], "x").read({"paragraphs": paragraphs}) == [
        "no_answer",
        "no_answer",
        about("It is deep.", "How?", "deep"),
        "empty_context",
        "missing_qas",
        "empty_question",
        "not_an_object",
        "not_an_object",
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"paragraphs": []}, "empty_paragraphs"),
        ({"paragraphs": None}, "missing_paragraphs"),
        ({"paragraphs": 3}, "wrong_type_paragraphs"),
        (3, "not_an_object"),
    ],
)
def test_an_article_that_cannot_be_read_has_its_reason(value: Any, reason: str) -> None:
    assert detect([ARTICLE], "x").read(value) == [reason]


ROW = {
    "context": "It is deep.",
    "question": "How?",
    "answers": {"text": ["deep", "very"], "answer_start": [6, 6]},
}


def test_squad_as_a_table_is_read_the_same_way() -> None:
    shape = detect([ROW], "rows.parquet")
    assert shape.described == "SQuAD rows (context, question, answers): a question's first answer is learnt"
    assert shape.read(ROW) == [about("It is deep.", "How?", "deep")]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"text": []}, "no_answer"),
        ({}, "no_answer"),
        (None, "no_answer"),
        ({"text": [""]}, "empty_answer"),
        ({"text": [3]}, "wrong_type_answer"),
        ([{"text": None}], "null_answer"),
    ],
)
def test_a_row_without_an_answer_has_its_reason(answers: Any, reason: str) -> None:
    assert detect([ROW], "x").read({**ROW, "answers": answers}) == [reason]
