"""A JSON text that is damaged or ends in the middle -> the entries before that, of the table it holds."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from lorascope.diagnose.counts import counted
from lorascope.diagnose.logs.json_value import ends_early, sound_words, whole_number

Rows = list[dict[str, Any]]

_SPACE = re.compile(r"[\s,]*")
_ARRAY = re.compile(r"\s*\[(?=\s*\{)")
_INNER_ARRAY = re.compile(r":\s*\[(?=\s*\{)")


def begins_as_array(text: str) -> bool:
    """Whether a text begins as an array of objects."""
    return _ARRAY.match(text) is not None


def is_before_first_entry(text: str) -> bool:
    """Whether a text is the beginning of an array of objects, of which not one is whole."""
    array = _ARRAY.match(text)
    return array is not None and not whole_entries(text, array.end())[0] and ends_early(text)


def whole_entries(text: str, start: int) -> tuple[Rows, int]:
    """Read an array of objects as far as it goes.

    Args:
        text: JSON, at least up to `start`.
        start: Index behind the bracket that opens the array.

    Returns:
        Its objects before the first that is cut or damaged, and the index at which reading ended.
    """
    entries: Rows = []
    decoder = json.JSONDecoder(parse_int=whole_number)
    at = _behind_space(text, start)
    while at < len(text) and text[at] == "{":
        try:
            entry, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        entries.append(entry)
        at = _behind_space(text, at)
    return entries, at


def cut_table(text: str, is_wanted: Callable[[Rows], bool]) -> Rows | None:
    """Find the table of a text that is one array of objects, or an object that holds arrays of them.

    Args:
        text: JSON that is not whole.
        is_wanted: Says of rows whether they are those of a log.

    Returns:
        The whole entries of the first array that is wanted; None where there is none.
    """
    if not begins_as_array(text) and not _INNER_ARRAY.search(text):
        return None
    text = sound_words(text)
    array = _ARRAY.match(text) or _INNER_ARRAY.search(text)
    while array is not None:
        entries, end = whole_entries(text, array.end())
        if entries and is_wanted(entries):
            return entries
        array = _INNER_ARRAY.search(text, end)  # within the entry that is cut, or behind the array
    return None


def cut_told(entries: Sequence[Any]) -> str:
    """What to say of a text of which some entries were read.

    Args:
        entries: Those.
    """
    read = counted(len(entries), "whole entry was", "whole entries were")
    return f"the file is damaged or ends in the middle: {read} read"


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
