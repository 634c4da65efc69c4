"""Answers that people compared or judged -> the chosen ones alone: what was turned down is never learnt."""

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, columns_in, encodable_text, optional_text_at, value_at
from lorascope.prepare.shapes.chat import (
    SYSTEM_COLUMNS,
    chat_columns,
    read_chat,
    system_turn,
    turns_column,
)
from lorascope.prepare.shapes.names import CHOSEN, CONTEXTS, INSTRUCTIONS, PAIRS, PROMPTS, REJECTED
from lorascope.prepare.shapes.pairs import given_context, pair_shape
from lorascope.prepare.shapes.profile import Profile, normal_name
from lorascope.prepare.shapes.shape import Part, Shape
from lorascope.prepare.shapes.sides import is_whole, joined_sides, side_at
from lorascope.prepare.shapes.tools import tools_in
from lorascope.prepare.shapes.turn import list_in
from lorascope.prepare.shapes.turns import finished
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import Message

NAME = "preference"
_SIDE = ("text", "turns", "turn")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_SPOKEN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Columns of compared answers; `prompt` None where the chosen side holds the whole conversation."""

    prompt: str | None
    context: str | None
    chosen: str
    rejected: str
    system: str
    tools: str


def as_preference(profile: Profile) -> Shape | None:
    """Pairs of a chosen and a rejected answer, or answers with a label that is true or false."""
    return _compared(profile) or _judged(profile)


def _compared(profile: Profile) -> Shape | None:
    chosen, rejected = profile.find(*CHOSEN, kinds=_SIDE), profile.find(*REJECTED, kinds=_SIDE)
    if chosen is None or rejected is None:
        return None
    prompt = turns_column(profile) or profile.find(*PROMPTS, kinds=_SIDE)
    beside = [profile.find(name, kinds=("text", "")) for name in CONTEXTS]
    columns = _Compared(
        prompt=prompt,
        context=next((name for name in beside if name and name != prompt), None),
        chosen=chosen,
        rejected=rejected,
        system=profile.find(*SYSTEM_COLUMNS, kinds=("text", "")) or "system",
        tools="tools",
    )
    named = [name for name in (columns.prompt, columns.context, chosen, rejected) if name]
    return Shape(
        name=NAME,
        described=f"preference pairs ({', '.join(named)}): only the chosen answers are learnt",
        columns=(*named, columns.system, columns.tools),
        reader=partial(_read_compared, columns),
    )


def _read_compared(columns: _Compared, value: Any) -> list[Part]:
    row = columns_in(value)
    num_rejected = int(bool(row.get(columns.rejected)))
    tools = tools_in(value_at(row, columns.tools))
    told = list_in(row.get(columns.chosen))
    if columns.prompt is None and isinstance(told, str):
        answer, prompt = _spoken(told), []
    else:
        answer = side_at(row, columns.chosen, "chosen", "assistant")
        prompt = [] if is_whole(answer) else _prompt(columns, row)
    messages = [*system_turn(row, columns.system), *joined_sides(prompt, answer)]
    return [finished(messages, tools=tools, num_rejected=num_rejected)]


def _prompt(columns: _Compared, row: Any) -> list[Message]:
    if columns.prompt is None:
        raise Malformed("missing_prompt")
    turns = side_at(row, columns.prompt, "prompt", "user")
    context, _ = given_context(optional_text_at(row, columns.context, "context"))
    return [*turns[:-1], replace(turns[-1], context=context)] if context else turns


def _spoken(text: str) -> list[Message]:
    """A conversation as one text, as Anthropic's HH data write it: "Human: ..." and "Assistant: ..."."""
    before, *pieces = _SPOKEN.split(encodable_text(text, "chosen"))
    if before.strip() or not pieces:
        raise Malformed("missing_prompt")
    turns = [
        Message(role=_SPEAKERS[speaker], content=said.strip())
        for speaker, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]
    if not all(turn.content for turn in turns):
        raise Malformed("empty_content")
    return turns


def _judged(profile: Profile) -> Shape | None:
    """Answers with a label, as data for KTO have it: chats, or prompts with one answer each.

    0 and 1 are such a label where a column is called kto_tag, or stands beside a prompt and a completion as
    TRL has it; anywhere else they may be a class of the text.
    """
    label = profile.find("kto_tag", "label")
    if label is None:
        return None
    certain = normal_name(label) == "kto_tag"
    column = turns_column(profile)
    if column and _is_switch(profile, label, numbers=certain):
        columns = replace(chat_columns(profile, column), label=label)
        return Shape(
            name=NAME,
            described=f"judged answers ({column}, {label}): only rows whose {label} is true are learnt",
            columns=columns.names,
            reader=partial(read_chat, columns),
        )
    for question, answer in (*PAIRS[:2], *INSTRUCTIONS):  # prompt with completion or response; Alpaca's
        prompt, told = profile.find(question, kinds=("text",)), profile.find(answer, kinds=("text",))
        numbers = certain or question == "prompt"
        if prompt and told and _is_switch(profile, label, numbers=numbers):
            context = profile.find("input", "context", kinds=("text", "")) or "input"
            pair = ColumnsSection(prompt=prompt, context=context, answer=told, system="system", label=label)
            shape = pair_shape(profile, pair, name=NAME, described="judged answers")
            return replace(shape, described=f"{shape.described}: only rows whose {label} is true are learnt")
    return None


def _is_switch(profile: Profile, label: str, *, numbers: bool) -> bool:
    """Whether a label is true or false throughout; a table without types may write the words, or 0 and 1."""
    values = profile.values(label)
    words = ("true", "false", "0", "1") if numbers else ("true", "false")
    return bool(values) and all(isinstance(one, bool) or str(one).casefold() in words for one in values)
