"""A shape: what the rows of a file are, in words, and the function that reads one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from lorascope.prepare.shapes.cells import Malformed
from lorascope.run.message import Message

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What a row, or one part of it, says.

    Attributes:
        messages: The turns; the last is the assistant's, or the only one is plain text.
        tools: JSON text of the list of tools in OpenAI's form; "" where there are none.
        num_unanswered: Turns after the last answer that were left out.
        num_rejected: Answers that people turned down, left out.
        odd: Names of signals, in order of letters.
    """

    messages: tuple[Message, ...]
    tools: str = ""
    num_unanswered: int = 0
    num_rejected: int = 0
    odd: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotChosen:
    """A row whose answer people turned down: nothing is wrong with it, but it is not one to imitate."""


Part = Turns | NotChosen | str
"""What a row or a part of it comes to; a text is the reason why it is malformed, as in "empty_output"."""

_MEDIA = {"<image>": "image_content", "<video>": "video_content", "<audio>": "audio_content"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the rows of a file are.

    Attributes:
        name: As `prepare.format` takes it.
        described: The same in words, as in "ShareGPT conversations (from/value)".
        columns: Names of the columns that are read where a row has them.
        reader: Turns a row into its parts; raises Malformed where the whole row is.
        redundant: Columns that only repeat what others say.
        media: Columns with pictures, sounds or films that texts refer to as <image>, <audio> or <video>.
        split_column: Column that says of each row whether it is held out; None where there is none.
    """

    name: str
    described: str
    columns: tuple[str, ...]
    reader: Callable[[Any], list[Part]]
    redundant: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    split_column: str | None = None

    @cached_property
    def known(self) -> frozenset[str]:
        """Columns that are no labels: what is read, and what repeats it."""
        return frozenset((*self.columns, *self.redundant))

    def read(self, value: Any) -> list[Part]:
        """Read one row: its parts in order, at least one. Never raises, whatever the row holds."""
        try:
            parts = self.reader(value)
        except Malformed as found:
            return [found.reason]
        except RecursionError:
            return ["nested_too_deeply"]
        if self.media and isinstance(value, Mapping) and any(value.get(name) for name in self.media):
            return [_without_media(part) for part in parts]
        return parts

    def with_columns_beside(self, *, redundant: Iterable[str], media: Iterable[str]) -> "Shape":
        """The same shape, told what else stands in the rows; the words name what is redundant."""
        redundant = tuple(redundant)
        said = f"; {', '.join(redundant)} repeats them and is not read" if redundant else ""
        return replace(self, described=self.described + said, redundant=redundant, media=tuple(media))


def _without_media(part: Part) -> Part:
    if isinstance(part, Turns):
        for message in part.messages:
            for mark, reason in _MEDIA.items():
                if mark in message.content or mark in message.context:
                    return reason
    return part


def parts_of(read: Callable[[Item], Turns], items: Iterable[Item], none: str) -> list[Part]:
    """Read the parts of a row, each by itself: a malformed one hides no other.

    Args:
        read: Reads one; may raise Malformed.
        items: The parts as found.
        none: Reason where there are none.
    """
    parts: list[Part] = []
    for item in items:
        try:
            parts.append(read(item))
        except Malformed as found:
            parts.append(found.reason)
    return parts or [none]
