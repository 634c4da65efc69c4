"""The first rows of a file -> which columns they have, and what kind of value stands in each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lorascope.prepare.shapes.cells import value_at
from lorascope.prepare.shapes.turn import ROLE_KEYS, is_exchange, list_in

CHAT_COLUMNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat")
MEDIA_COLUMNS = ("images", "image", "videos", "video", "audios", "audio")


def kind_of(value: Any) -> str:
    """What a value is.

    Returns:
        text, bool, number; turn (an object that says who speaks), object; turns, exchanges (objects that hold
        both sides), objects; texts; list (of anything else); or "" where there is nothing.
    """
    if isinstance(value, str):
        return "text" if value.strip() else ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, Mapping):
        return "turn" if _speaks(value) else "object"
    if not isinstance(value, (list, tuple)) or not value:
        return ""
    if all(isinstance(one, Mapping) for one in value):
        return "turns" if _speaks(value[0]) else "exchanges" if is_exchange(value[0]) else "objects"
    return "texts" if all(isinstance(one, str) for one in value) else "list"


def _speaks(value: Mapping[str, Any]) -> bool:
    return any(value.get(key) is not None for key in ROLE_KEYS)


def normal_name(name: str) -> str:
    """A column's name as it is compared: "Source Text " is source_text."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


@dataclass(frozen=True)
class Profile:
    """The first rows of a file.

    Attributes:
        rows: Their values, as parsed.
    """

    rows: Sequence[Any]

    @cached_property
    def objects(self) -> list[Mapping[str, Any]]:
        """Those that have columns."""
        return [row for row in self.rows if isinstance(row, Mapping)]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order in which they first occur."""
        return tuple(dict.fromkeys(name for row in self.objects for name in row if isinstance(name, str)))

    @cached_property
    def row_kind(self) -> str:
        """What most rows are: see `kind_of`."""
        return _most(kind_of(row) for row in self.rows)

    def find(self, *names: str, kinds: tuple[str, ...] = ()) -> str | None:
        """The first of some names that a column has, as the file writes it; None where none has it.

        Args:
            names: As `normal_name` writes them.
            kinds: What the column may hold; anything where empty.
        """
        known: dict[str, str] = {}
        for column in self.columns:
            known.setdefault(normal_name(column), column)
        found = (known[name] for name in names if name in known)
        return next((column for column in found if not kinds or self.kind(column) in kinds), None)

    def values(self, column: str) -> list[Any]:
        """What a column holds where it holds anything; a dot goes into an object."""
        found = (value_at(row, column) for row in self.objects)
        return [one for one in found if one is not None]

    def kind(self, column: str) -> str:
        """What most values of a column are; "" where it is empty throughout."""
        return _most(kind_of(one) for one in self.values(column))

    def chat_kind(self, column: str) -> str:
        """The same, for a column that may write lists of turns as JSON."""
        return _most(kind_of(list_in(one)) for one in self.values(column))

    def texts(self) -> list[str]:
        """Names of the columns that hold texts."""
        return [name for name in self.columns if self.kind(name) == "text"]

    def redundant(self, read: Iterable[str]) -> list[str]:
        """Text columns that hold, in every row, every text that the columns read hold.

        Args:
            read: Names of the columns read.
        """
        used = [name for name in read if self.kind(name) == "text"]
        others = [name for name in self.texts() if name not in used] if len(used) > 1 else []
        return [name for name in others if all(_repeats(row, name, used) for row in self.objects)]


def _repeats(row: Mapping[str, Any], column: str, used: Sequence[str]) -> bool:
    text = row.get(column)
    parts = [row[name] for name in used if isinstance(row.get(name), str)]
    return isinstance(text, str) and all(part.strip() in text for part in parts)


def _most(kinds: Iterable[str]) -> str:
    counts = Counter(kind for kind in kinds if kind)
    return counts.most_common(1)[0][0] if counts else ""
