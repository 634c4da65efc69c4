"""The first rows of a file -> its shape: found by columns and values, named by the user, or asked for."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lorascope.errors import ConfigError, DataError, explain, nearest
from lorascope.prepare.read import excerpt_of
from lorascope.prepare.shapes.chat import ChatColumns, as_messages, as_sharegpt, read_chat
from lorascope.prepare.shapes.guess import as_setting, best_guess
from lorascope.prepare.shapes.nested import as_intents, as_seed_tasks
from lorascope.prepare.shapes.pairs import as_alpaca, as_pairs, pair_shape
from lorascope.prepare.shapes.plain_text import as_bare_text, as_text, text_shape
from lorascope.prepare.shapes.preference import as_preference
from lorascope.prepare.shapes.profile import MEDIA_COLUMNS, Profile, normal_name
from lorascope.prepare.shapes.shape import Shape
from lorascope.prepare.shapes.sides import sides_shape
from lorascope.prepare.shapes.squad import as_squad
from lorascope.prepare.shapes.turn_lists import as_turn_lists
from lorascope.run.data_sections import ColumnsSection

Recogniser = Callable[[Profile], Shape | None]

FAMILIES: Mapping[str, tuple[Recogniser, str]] = {
    "preference": (as_preference, "prompt, chosen and rejected; or messages and a label true or false"),
    "messages": (as_messages, "a list of turns with role and content"),
    "sharegpt": (as_sharegpt, "a list of turns with from and value"),
    "turn_lists": (as_turn_lists, "lists of texts, the user's and the assistant's in turn"),
    "squad": (as_squad, "paragraphs with qas; or context, question and answers"),
    "seed_tasks": (as_seed_tasks, "instruction and instances"),
    "intents": (as_intents, "patterns and responses"),
    "alpaca": (as_alpaca, "instruction and output"),
    "pairs": (as_pairs, "prompt and completion, question and answer, input and output, or the like"),
    "text": (as_text, "a column called text"),
}
"""Name, as `prepare.format` takes it, to what recognises it and what it needs; the first that fits wins."""

_MOST = 0.5
_SHOWN = 8
_EXCERPT = 30
_WORDS_OF_A_TEXT = 4


def find_shape(
    rows: Iterable[Any], where: str, *, named: str = "auto", columns: ColumnsSection | None = None
) -> Shape:
    """Say what the rows of a file are.

    Args:
        rows: Values of the first rows.
        where: The file, for messages.
        named: `prepare.format`: a name of FAMILIES, or "auto".
        columns: `prepare.columns`: what the columns hold, where the user says so.

    Raises:
        DataError: No shape fits; the message names the columns and guesses at what they hold.
        ConfigError: The name or a column is unknown, or does not fit these rows.
    """
    profile = Profile(list(rows))
    if columns is not None:
        return _complete(_shape_of_columns(profile, columns, where), profile)
    return shape_named(named, profile.rows, where) if named != "auto" else detect(profile.rows, where)


def detect(rows: Iterable[Any], where: str) -> Shape:
    """Find the shape of rows by their columns and values.

    Args:
        rows: Values of the first rows.
        where: The file, for messages.

    Raises:
        DataError: No shape fits.
    """
    profile = Profile(list(rows))
    fitting = [one for recognise, _ in FAMILIES.values() if (one := recognise(profile)) is not None]
    shape = _reads_most(fitting, profile)
    if shape is None:
        raise _unknown(profile, where) if profile.columns else _no_columns(profile, where)
    return _complete(shape, profile)


def _reads_most(shapes: Sequence[Shape], profile: Profile) -> Shape | None:
    """The first shape that reads half of the rows, else the one that reads most: one odd row decides nothing.

    Answers that were turned down are recognised by their columns alone, whatever else is wrong with the rows:
    any other shape would learn them.
    """
    if not shapes or shapes[0].name == "preference":
        return next(iter(shapes), None)
    shares = [_share_read(shape, profile) for shape in shapes]
    half = next((place for place, share in enumerate(shares) if share >= _MOST), None)
    return shapes[shares.index(max(shares)) if half is None else half]


def _share_read(shape: Shape, profile: Profile) -> float:
    read = sum(not isinstance(shape.read(row)[0], str) for row in profile.rows)
    return read / max(len(profile.rows), 1)


def shape_named(name: str, rows: Iterable[Any], where: str) -> Shape:
    """Read rows as the shape that the user names.

    Args:
        name: Of FAMILIES.
        rows: Values of the first rows.
        where: The file, for messages.

    Raises:
        ConfigError: There is no shape of that name, or the rows are not of it.
    """
    if name not in FAMILIES:
        raise ConfigError(
            explain(
                f'prepare.format: "{name}" is no shape of rows',
                where="prepare.format",
                why="rows are read as one of the shapes that are known",
                fix=nearest(name, [*FAMILIES, "auto"]),
            )
        )
    profile = Profile(list(rows))
    recognise, needs = FAMILIES[name]
    shape = as_bare_text(profile) if name == "text" else recognise(profile)
    if shape is None:
        others = [other for other, (one, _) in FAMILIES.items() if one(profile)]
        raise ConfigError(
            explain(
                f"prepare.format: the rows are not of shape {name}",
                where=where,
                why=f"it needs {needs}; found: {_shown(profile)}",
                fix=f"use prepare.format: {others[0]}" if others else _setting(profile),
            )
        )
    return _complete(shape, profile)


def _complete(shape: Shape, profile: Profile) -> Shape:
    read = [name for name in shape.columns if name in profile.columns]
    media = [name for name in profile.columns if normal_name(name) in MEDIA_COLUMNS and name not in read]
    return shape.with_columns_beside(redundant=profile.redundant(read), media=media)


def _shape_of_columns(profile: Profile, columns: ColumnsSection, where: str) -> Shape:
    for part, column in columns.named.items():
        if not profile.values(column) and column not in profile.columns:
            raise ConfigError(
                explain(
                    f'prepare.columns: {part}: there is no column "{column}"',
                    where=where,
                    why=f"the columns are: {_shown(profile)}",
                    fix=nearest(column, profile.columns),
                )
            )
    if columns.messages:
        chat = ChatColumns(
            turns=columns.messages,
            system=columns.system or "system",
            tools=columns.tools or "tools",
            label=columns.label,
        )
        said = f"turns, columns as named ({columns.messages})"
        return Shape(name="messages", described=said, columns=chat.names, reader=partial(read_chat, chat))
    if columns.text:
        return text_shape(columns.text)
    if columns.prompt and columns.answer:
        kinds = {profile.kind(columns.prompt), profile.kind(columns.answer)}
        if kinds & {"turns", "turn"}:
            return sides_shape(columns)
        return pair_shape(profile, columns, name="pairs", described="prompts and answers, columns as named")
    raise ConfigError(
        explain(
            "prepare.columns does not say what is learnt",
            where=f"prepare.columns: {as_setting(columns.named)}",
            why="an example has a prompt and an answer, a list of messages, or plain text",
            fix="name prompt and answer, or messages, or text",
        )
    )


def _unknown(profile: Profile, where: str) -> DataError:
    told = next((name for name in profile.columns if len(name.split()) >= _WORDS_OF_A_TEXT), None)
    if told is not None:
        return _headerless(told, where)
    return DataError(
        explain(
            f"no known columns: found {_shown(profile)}",
            where=where,
            why="their names do not say which holds the prompt and which the answer",
            fix=_setting(profile),
        )
    )


def _headerless(name: str, where: str) -> DataError:
    """A table whose first row is taken for its header and reads like a row."""
    columns = "columns: {prompt: column_1, answer: column_2}"
    return DataError(
        explain(
            f'no known columns: one would be called "{excerpt_of(name)}"',
            where=where,
            why="the first row reads like data and not like names of columns",
            fix=f"say so in a recipe: data: [{{path: {where}, header: false, {columns}}}]",
        )
    )


def _setting(profile: Profile) -> str:
    guess = best_guess(profile)
    if not guess:
        return "give rows with texts, as in {instruction: ..., output: ...}"
    return f"say what they hold, perhaps: --set {shlex.quote(f'prepare.columns={as_setting(guess)}')}"


def _shown(profile: Profile) -> str:
    """Columns with an example of each, as in 'question ("Who wrote ..."), label (3)'."""
    if not profile.columns:
        return f"rows that are {profile.row_kind or 'empty'}"
    shown = [_example(profile, name) for name in profile.columns[:_SHOWN]]
    left = len(profile.columns) - _SHOWN
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _example(profile: Profile, column: str) -> str:
    value = next((one for one in profile.values(column) if one not in ("", [], {})), None)
    if value is None:
        return f"{excerpt_of(column)} (empty)"
    try:
        text = excerpt_of(value)
    except (RecursionError, ValueError):
        text = type(value).__name__
    shown = f"{text[:_EXCERPT].rstrip()}..." if len(text) > _EXCERPT else text
    return f"{excerpt_of(column)} (" + (f'"{shown}"' if isinstance(value, str) else shown) + ")"


def _no_columns(profile: Profile, where: str) -> DataError:
    kinds = ", ".join(Counter(type(row).__name__ for row in profile.rows)) or "none"
    first = f": {excerpt_of(profile.rows[0])}" if profile.rows else ""
    return DataError(
        explain(
            "the file holds no rows with named columns",
            where=f"{where}{first}",
            why=f"the first {len(profile.rows)} rows are: {kinds}",
            fix='each row must be an object such as {"instruction": ..., "output": ...}',
        )
    )
