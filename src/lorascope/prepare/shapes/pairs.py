"""Rows with a column for the prompt and one for the answer: Alpaca, Dolly, question/answer and any others."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, columns_in, optional_text_at, text_at, value_at
from lorascope.prepare.shapes.chat import SYSTEM_COLUMNS, label_at, system_turn
from lorascope.prepare.shapes.names import CONTEXTS, INSTRUCTIONS, PAIRS
from lorascope.prepare.shapes.profile import Profile
from lorascope.prepare.shapes.shape import NotChosen, Part, Shape
from lorascope.prepare.shapes.sides import sides_shape
from lorascope.prepare.shapes.signals import says_no_input
from lorascope.prepare.shapes.turn import texts_in
from lorascope.prepare.shapes.turns import exchange, finished
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import Message

_TEXT = ("text", "")
_VALUE = ("text", "number", "bool", "")  # an answer 42 is one that should have been text: said row by row
_SIDE = ("turns", "turn", "text")


def as_alpaca(profile: Profile) -> Shape | None:
    """Alpaca's instruction, input and output, or Dolly's instruction, context and response."""
    for instruction, answer in INSTRUCTIONS:
        prompt, told = profile.find(instruction), profile.find(answer)
        if prompt and told:
            columns = _columns(
                profile, prompt, told, default_context="context" if answer == "response" else "input"
            )
            name = "Dolly" if (columns.context, answer) == ("context", "response") else "Alpaca"
            return pair_shape(profile, columns, name="alpaca", described=f"{name} rows")
    return None


def as_pairs(profile: Profile) -> Shape | None:
    """Question and answer, prompt and completion, and the like: see `names.PAIRS`."""
    for question, answer in PAIRS:
        prompt, told = profile.find(question, kinds=_TEXT), profile.find(answer, kinds=_VALUE)
        if prompt and told:
            columns = _columns(profile, prompt, told, default_context="context")
            return pair_shape(profile, columns, name="pairs", described="prompts and answers")
        prompt, told = profile.find(question, kinds=_SIDE), profile.find(answer, kinds=_SIDE)
        if prompt and told:
            tools = profile.find("tools")
            return sides_shape(
                ColumnsSection(prompt=prompt, answer=told, system="system", tools=tools or "tools")
            )
    return None


def _columns(profile: Profile, prompt: str, answer: str, *, default_context: str) -> ColumnsSection:
    """Find what stands beside prompt and answer. What the first rows lack, later ones may have."""
    contexts = [profile.find(name, kinds=_TEXT) for name in (default_context, *CONTEXTS)]
    free = [name for name in contexts if name and name not in (prompt, answer)]
    return ColumnsSection(
        prompt=prompt,
        answer=answer,
        context=free[0] if free else default_context,
        system=profile.find(*SYSTEM_COLUMNS, kinds=_TEXT) or "system",
        history=profile.find("history", kinds=("list", "")) or "history",
    )


def pair_shape(profile: Profile, columns: ColumnsSection, *, name: str, described: str) -> Shape:
    """The shape of rows with these columns; the words name those that are there."""
    order = ("system", "history", "prompt", "context", "reasoning", "answer", "label")
    there = [columns.named[part] for part in order if columns.named.get(part) in profile.columns]
    return Shape(
        name=name,
        described=f"{described} ({', '.join(there)})",
        columns=tuple(columns.named.values()),
        reader=partial(read_pair, columns),
    )


def read_pair(columns: ColumnsSection, value: Any) -> list[Part]:
    """Read a row with a prompt and an answer."""
    row = columns_in(value)
    if columns.label and not label_at(row, columns.label):
        return [NotChosen()]
    assert columns.prompt and columns.answer
    prompt = text_at(row, columns.prompt, "prompt")
    answer = text_at(row, columns.answer, "answer")
    context, odd = given_context(optional_text_at(row, columns.context, "context"))
    question = Message(role="user", content=prompt, context=context)
    told = Message(
        role="assistant",
        content=answer,
        reasoning=optional_text_at(row, columns.reasoning, "reasoning") if columns.reasoning else "",
    )
    before = [*system_turn(row, columns.system), *_history(row, columns.history)]
    return [finished([*before, question, told], odd=odd) if before else exchange(question, told, odd)]


def given_context(text: str) -> tuple[str, tuple[str, ...]]:
    """An input, and the signal for one that says there is none: "<noinput>" is none, "NULL" may be meant."""
    return ("", ("no_input",)) if text and says_no_input(text) else (text, ())


def _history(row: Mapping[str, Any], column: str | None) -> list[Message]:
    """Earlier questions and answers: a list of pairs of texts, as LlamaFactory's Alpaca rows have it."""
    earlier = value_at(row, column) if column else None
    if not earlier:
        return []
    if not isinstance(earlier, (list, tuple)):
        raise Malformed("wrong_type_history")
    messages = []
    for pair in earlier:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Malformed("wrong_type_history")
        question, answer = texts_in(pair, "history")
        messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return messages
