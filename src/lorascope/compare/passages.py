"""A file of text that has nothing to do with the data -> passages."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorascope.errors import DataError, explain, nearest
from lorascope.run.commit import sha256_of

BUNDLED = Path(__file__).with_name("unrelated.txt")
"""48 passages of everyday English, 60 to 71 words each, written for lorascope: weather, cooking, history,
law, letters, sport, some talk, a few lines of code and arithmetic."""

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """Texts on which base and adapter are compared.

    Attributes:
        source: "bundled", or the name of the file.
        texts: In the order of the file.
    """

    source: str
    texts: tuple[str, ...]


def read_passages(unrelated: str | Literal[False]) -> Passages | None:
    """Read the passages that `compare.unrelated` names.

    Args:
        unrelated: "auto", a path, or False.

    Returns:
        The passages; None where they are switched off.

    Raises:
        DataError: The file is missing, is no UTF-8 text, holds no passage, or has lines that are none.
    """
    if unrelated is False:
        return None
    if unrelated == "auto":
        return Passages(source="bundled", texts=_split(BUNDLED.read_text(encoding="utf-8")))
    path = Path(unrelated)
    text = _read(path)
    texts = _from_json(text, path) if path.suffix.lower() in _JSON_SUFFIXES else _split(text)
    if not texts:
        raise DataError(
            explain(
                f'"{path}" holds no passage',
                where=_where(path),
                why="every line of it is empty",
                fix="write passages of some 60 words with blank lines between them, 20 of them at least",
            )
        )
    return Passages(source=path.name, texts=texts)


def passages_hash(unrelated: str | Literal[False]) -> str:
    """What the passages are, for a stage's record: the sha256 of their file; "none" where switched off.

    Raises:
        DataError: As `read_passages`.
    """
    if unrelated is False:
        return "none"
    read_passages(unrelated)  # a file that cannot be used is told before any model is loaded
    return sha256_of(BUNDLED if unrelated == "auto" else Path(unrelated))


def _where(path: Path) -> str:
    return f"{path}, named by compare.unrelated"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        unreadable = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        beside = [one.name for one in path.parent.iterdir() if one.is_file()] if path.parent.is_dir() else []
        raise DataError(
            explain(
                f'the unrelated text "{path}" cannot be read',
                where=_where(path),
                why=str(unreadable),
                fix=f"name a text file, auto for the bundled English, or false; {nearest(path.name, beside)}",
            )
        ) from error


def _split(text: str) -> tuple[str, ...]:
    """Passages with blank lines between them; what stands in front of a line, as in code, stays."""
    passages = re.split(r"\n(?:[ \t]*\n)+", text.replace("\r\n", "\n"))
    return tuple(one.strip("\n").rstrip() for one in passages if one.strip())


def _from_json(text: str, path: Path) -> tuple[str, ...]:
    found, bad = [], {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            passage, wrong = _from_line(line)
            if wrong:
                bad[number] = wrong
            else:
                found.append(passage)
    _refuse(bad, path)
    return tuple(found)


def _from_line(line: str) -> tuple[str, str]:
    """The passage of a line of JSON Lines, and what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError as error:
        return "", f"no JSON ({str(error)[:60]})"
    if not isinstance(row, dict):
        return "", f"a {type(row).__name__}, not an object"
    text = row.get("text")
    if "text" not in row:
        return "", f"no text; it has {', '.join(row) or 'no key'}"
    if not isinstance(text, str) or not text.strip():
        return "", "text is empty" if isinstance(text, str) else f"text is a {type(text).__name__}"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "", "text is no Unicode: it holds half of a surrogate pair"
    return text.strip("\n").rstrip(), ""


def _refuse(bad: Mapping[int, str], path: Path) -> None:
    if not bad:
        return
    shown = "; ".join(f"line {line}: {reason}" for line, reason in list(bad.items())[:5])
    more = f"; {len(bad) - 5:,} more" if len(bad) > 5 else ""
    raise DataError(
        explain(
            f"{len(bad):,} line(s) of the unrelated text cannot be used: {shown}{more}",
            where=_where(path),
            why="a passage that is left out without a word would make the comparison another one",
            fix='mend or delete these lines; a line of JSON Lines is {"text": "..."}',
        )
    )
