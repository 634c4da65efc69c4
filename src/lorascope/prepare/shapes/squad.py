"""SQuAD's questions about passages -> one conversation for each question, nested or one to a row."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, columns_in, text_at
from lorascope.prepare.shapes.nested import list_at
from lorascope.prepare.shapes.profile import Profile
from lorascope.prepare.shapes.shape import Part, Shape, Turns, parts_of
from lorascope.prepare.shapes.turns import exchange
from lorascope.run.message import Message


def as_squad(profile: Profile) -> Shape | None:
    """Articles of paragraphs with their questions, or rows of context, question and answers."""
    paragraphs = profile.find("paragraphs", kinds=("objects", "turns"))
    if paragraphs:
        return Shape(
            name="squad",
            described=f"SQuAD articles ({paragraphs}: context, qas): a question's first answer is learnt",
            columns=(paragraphs,),
            reader=partial(_read_article, paragraphs),
        )
    names = [profile.find(name) for name in ("context", "question")]
    answers = profile.find("answers", kinds=("object", "objects"))
    if answers is None or None in names:
        return None
    columns = (*(str(name) for name in names), answers)
    return Shape(
        name="squad",
        described=f"SQuAD rows ({', '.join(columns)}): a question's first answer is learnt",
        columns=columns,
        reader=partial(_read_row, columns),
    )


def _read_article(column: str, value: Any) -> list[Part]:
    return parts_of(_question, _questions(list_at(columns_in(value), column)), "empty_paragraphs")


def _questions(paragraphs: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Each paragraph with each of its questions; with None where it has none, so that it is named."""
    for paragraph in paragraphs:
        questions = paragraph.get("qas") if isinstance(paragraph, Mapping) else None
        for one in questions if isinstance(questions, (list, tuple)) and questions else [None]:
            yield paragraph, one


def _question(pair: tuple[Any, Any]) -> Turns:
    paragraph, found = columns_in(pair[0]), pair[1]
    if found is None:
        raise Malformed("missing_qas")
    row = columns_in(found)
    return _conversation(
        text_at(paragraph, "context", "context"),
        text_at(row, "question", "question"),
        None if row.get("is_impossible") is True else row.get("answers"),
    )


def _read_row(columns: tuple[str, ...], value: Any) -> list[Part]:
    context, question, answers = columns
    row = columns_in(value)
    asked, told = text_at(row, question, "question"), row.get(answers)
    return [_conversation(text_at(row, context, "context"), asked, told)]


def _conversation(context: str, question: str, answers: Any) -> Turns:
    answer = _first(answers)
    asked = Message(role="user", content=question, context=context)
    return exchange(asked, Message(role="assistant", content=answer))


def _first(answers: Any) -> str:
    """The first answer: annotators gave several, and the first is the one that datasets are scored by first.

    Raises:
        Malformed: no_answer, as for questions that cannot be answered, or what is wrong with it.
    """
    found = answers.get("text") if isinstance(answers, Mapping) else answers
    first = found[0] if isinstance(found, (list, tuple)) and found else found
    if first is None or first == []:
        raise Malformed("no_answer")
    return text_at({"answer": first.get("text") if isinstance(first, Mapping) else first}, "answer", "answer")
