"""Columns that no shape fits -> the best guess at what they hold, as a setting to be confirmed."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from lorascope.prepare.shapes.names import CONTEXTS, REJECTED, known_answers, known_prompts
from lorascope.prepare.shapes.profile import Profile, normal_name

_SHORT = 40  # characters: what is never longer is hardly what a prompt is about
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def best_guess(profile: Profile) -> dict[str, str]:
    """Say what the columns may hold.

    A name like a known one decides; else the first text is the prompt and the last the answer. Of what is
    left, a single long text is the context.

    Returns:
        Part to column, as in {"prompt": "question", "answer": "cypher"}; {"text": ...} where there is only
        one column of texts, empty where there is none.
    """
    texts = [name for name in profile.texts() if normal_name(name) not in REJECTED]
    telling = [name for name in texts if not _is_label(profile, name)]
    free = telling if len(telling) > 1 else texts
    if len(free) < 2:
        return {"text": free[0]} if free else {}
    answer = _closest(free, known_answers())
    prompt = _closest([name for name in free if name != answer], known_prompts())
    answer = answer or [name for name in free if name != prompt][-1]
    prompt = prompt or next(name for name in free if name != answer)
    guess = {"prompt": prompt, "answer": answer}
    rest = [name for name in free if name not in (prompt, answer)]
    context = _closest(rest, CONTEXTS) or (rest[0] if len(rest) == 1 and _is_long(profile, rest[0]) else None)
    return {"prompt": prompt, "context": context, "answer": answer} if context else guess


def _closest(columns: Sequence[str], names: Iterable[str]) -> str | None:
    """The column whose name is nearest to one that is known; None where none is near."""
    known = list(names)
    scores = {
        column: max(difflib.SequenceMatcher(None, normal_name(column), name).ratio() for name in known)
        for column in columns
    }
    best = max(scores, key=lambda column: scores[column], default=None)
    return best if best is not None and scores[best] >= 0.75 else None


def _is_label(profile: Profile, column: str) -> bool:
    """Whether a column holds names or numbers of rows: one word each, or the same few again and again."""
    values = [str(one) for one in profile.values(column)]
    single = all(len(one.split()) == 1 and one.isascii() and len(one) <= _SHORT for one in values)
    repeats = len(values) >= 4 and len(set(values)) <= len(values) // 3
    return single or (repeats and not _is_long(profile, column))


def _is_long(profile: Profile, column: str) -> bool:
    return any(len(str(one)) > _SHORT for one in profile.values(column))


def as_setting(guess: Mapping[str, str]) -> str:
    """A guess as YAML on one line, as in {prompt: question, answer: cypher}."""
    return "{" + ", ".join(f"{part}: {_yaml(column)}" for part, column in guess.items()) + "}"


def _yaml(name: str) -> str:
    is_plain = re.fullmatch(r"[^\W\d]\w*", name) and name.casefold() not in _YAML_WORDS
    return name if is_plain else json.dumps(name, ensure_ascii=False)
