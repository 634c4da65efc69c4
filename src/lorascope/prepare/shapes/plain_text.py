"""Rows with nothing but text -> plain text for continued pre-training, every token of which is learnt."""

from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, columns_in, encodable_text, text_at
from lorascope.prepare.shapes.profile import Profile
from lorascope.prepare.shapes.shape import Part, Shape, Turns
from lorascope.prepare.shapes.signals import text_signals
from lorascope.run.message import Message

_LONG = 200  # characters; a second text as long as that might be the answer to the first


def as_text(profile: Profile) -> Shape | None:
    """A column called text or content, where no other column holds long texts."""
    column = profile.find("text", "content", kinds=("text",))
    others = [name for name in profile.texts() if name != column]
    if column is None or any(_is_long(profile, name) for name in others):
        return None
    return text_shape(column)


def as_bare_text(profile: Profile) -> Shape | None:
    """The same, and rows that are texts themselves: taken where the user says so."""
    if profile.row_kind == "text":
        return Shape(name="text", described="plain text, all of it learnt", columns=(), reader=_read_bare)
    column = profile.find("text", "content", kinds=("text",))
    return text_shape(column) if column else None


def text_shape(column: str) -> Shape:
    """The shape of rows with this column of text."""
    return Shape(
        name="text",
        described=f"plain text ({column}), all of it learnt",
        columns=(column,),
        reader=partial(_read_text, column),
    )


def _is_long(profile: Profile, column: str) -> bool:
    return any(isinstance(one, str) and len(one) > _LONG for one in profile.values(column))


def _read_text(column: str, value: Any) -> list[Part]:
    return [_plain(text_at(columns_in(value), column, "text"))]


def _read_bare(value: Any) -> list[Part]:
    text = encodable_text(value, "text")
    if not text.strip():
        raise Malformed("empty_text")
    return [_plain(text)]


def _plain(text: str) -> Turns:
    return Turns(messages=(Message(role="text", content=text),), odd=text_signals(text))
