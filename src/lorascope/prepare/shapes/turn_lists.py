"""Turns as bare lists of texts -> conversations: one list of both speakers, or a list for each."""

from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, code_of, columns_in
from lorascope.prepare.shapes.names import PAIRS
from lorascope.prepare.shapes.profile import CHAT_COLUMNS, Profile
from lorascope.prepare.shapes.shape import Part, Shape
from lorascope.prepare.shapes.turn import alternating, filled_list_in, texts_in
from lorascope.prepare.shapes.turns import finished
from lorascope.run.message import Message

NAME = "turn_lists"


def as_turn_lists(profile: Profile) -> Shape | None:
    """Rows that are lists of texts, that have a column of them, or one for each speaker."""
    if profile.row_kind == "texts":
        return Shape(
            name=NAME,
            described="lists of turns, the user's first",
            columns=(),
            reader=partial(_read_one, None),
        )
    for question, answer in PAIRS:
        asked, told = profile.find(question, kinds=("texts",)), profile.find(answer, kinds=("texts",))
        if asked and told:
            return Shape(
                name=NAME,
                described=f"lists of turns ({asked}: the user's, {told}: the assistant's)",
                columns=(asked, told),
                reader=partial(_read_two, asked, told),
            )
    column = next((name for name in CHAT_COLUMNS if _holds_texts(profile, name)), None)
    if column is None:
        return None
    found = str(profile.find(column))
    return Shape(
        name=NAME,
        described=f"lists of turns ({found}), the user's first",
        columns=(found,),
        reader=partial(_read_one, found),
    )


def _holds_texts(profile: Profile, name: str) -> bool:
    column = profile.find(name)
    return column is not None and profile.chat_kind(column) == "texts"


def _read_one(column: str | None, value: Any) -> list[Part]:
    """One list: the user speaks first, then each in turn; a question at its end has no answer and is cut."""
    code = code_of(column, "turns") if column else "turns"
    found = columns_in(value).get(column) if column else value
    return [finished(alternating(_texts(found, code)))]


def _read_two(asked: str, told: str, value: Any) -> list[Part]:
    """Two lists: turn i of the one is answered by turn i of the other; the user may have spoken last."""
    row = columns_in(value)
    questions = _texts(row.get(asked), code_of(asked, "prompt"))
    answers = _texts(row.get(told), code_of(told, "answer"))
    if len(questions) - len(answers) not in (0, 1):
        raise Malformed("turns_do_not_pair")
    messages = []
    for number, question in enumerate(questions):
        messages.append(Message(role="user", content=question))
        messages += [Message(role="assistant", content=text) for text in answers[number : number + 1]]
    return [finished(messages)]


def _texts(value: Any, code: str) -> list[str]:
    return texts_in(filled_list_in(value, code), code)
