"""One cell of a row -> the text that it must hold, or the reason why it is malformed."""

import functools
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_LONGEST_BLANK = 64  # a longer text of marks that cannot be seen has not been met


class Malformed(Exception):
    """A row or a part of one that cannot be read; never leaves `Shape.read`.

    Args:
        reason: A stable code, as in "empty_output".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_encodable(text: str) -> bool:
    """Whether no half of a character that JSON wrote as two is left alone: no tokenizer, no file takes it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: white space, marks without width, control characters."""
    if len(text) > _LONGEST_BLANK:
        return text.isspace()
    return all(one.isspace() or unicodedata.category(one)[0] in "CZ" for one in text)


def columns_in(value: Any) -> Mapping[str, Any]:
    """A row as columns; raises Malformed where it is none."""
    if not isinstance(value, Mapping):
        raise Malformed("not_an_object")
    return value


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """What a column holds; None where it is missing. `translation.en` also goes into an object."""
    found = row.get(column)
    if found is not None or "." not in column or column in row:
        return found
    inside, _, rest = column.partition(".")
    outer = row.get(inside)
    return value_at(outer, rest) if isinstance(outer, Mapping) else None


def text_at(row: Mapping[str, Any], column: str, part: str) -> str:
    """The text of a column that must have one.

    Args:
        row: The columns.
        column: Its name in the file.
        part: What it stands for, as in "prompt"; names it in the reason where the column's name cannot.

    Raises:
        Malformed: missing_, null_, wrong_type_, lone_surrogate_ or empty_, and the column.
    """
    found = value_at(row, column)
    if found is None:
        code = code_of(column, part)
        raise Malformed(f"null_{code}" if _stands_in(row, column) else f"missing_{code}")
    text = encodable_text(found, code_of(column, part))
    if is_blank(text):
        raise Malformed(f"empty_{code_of(column, part)}")
    return text


def optional_text_at(row: Mapping[str, Any], column: str | None, part: str) -> str:
    """The text of a column that may be missing, null or blank: "" then."""
    if column is None:
        return ""
    found = value_at(row, column)
    if found is None or found == "":
        return ""
    text = encodable_text(found, code_of(column, part))
    return "" if text.isspace() else text


def encodable_text(value: Any, code: str) -> str:
    """A value that must be text which can be written; raises Malformed with `code` in the reason."""
    if not isinstance(value, str):
        raise Malformed(f"wrong_type_{code}")
    if not is_encodable(value):
        raise Malformed(f"lone_surrogate_{code}")
    return value


def _stands_in(row: Mapping[str, Any], column: str) -> bool:
    if column in row:
        return True
    inside, _, rest = column.partition(".")
    outer = row.get(inside)
    return bool(rest) and isinstance(outer, Mapping) and _stands_in(outer, rest)


@functools.lru_cache(maxsize=1024)
def code_of(column: str, part: str) -> str:
    """How a reason names a column: by its name in snake_case where that is ASCII, else by its part."""
    name = re.sub(r"[^a-z0-9]+", "_", column.casefold()).strip("_") if column.isascii() else ""
    return name or part


def parsed_json(text: str) -> Any:
    """The value that a text writes as JSON.

    Raises:
        ValueError: It is none, or one that is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_text(value: Any, reason: str) -> str:
    """A parsed value as JSON text; raises Malformed with `reason` where JSON or UTF-8 has no place for it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(reason) from error
    if not is_encodable(text):
        raise Malformed(reason)
    return text
