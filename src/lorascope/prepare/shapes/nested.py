"""Rows that hold several examples -> one conversation for each: seed tasks and intents."""

from functools import partial
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, columns_in, optional_text_at, text_at
from lorascope.prepare.shapes.pairs import given_context
from lorascope.prepare.shapes.profile import Profile
from lorascope.prepare.shapes.shape import Part, Shape, Turns, parts_of
from lorascope.prepare.shapes.turn import texts_in
from lorascope.prepare.shapes.turns import exchange
from lorascope.run.message import Message

_LISTED = ("texts", "text")


def as_seed_tasks(profile: Profile) -> Shape | None:
    """Stanford's seed tasks: an instruction and its instances, each with an input and an output."""
    instruction = profile.find("instruction", kinds=("text",))
    instances = profile.find("instances", kinds=("objects", "exchanges"))
    if instruction is None or instances is None:
        return None
    return Shape(
        name="seed_tasks",
        described=f"seed tasks ({instruction}, {instances}: input, output)",
        columns=(instruction, instances),
        reader=partial(_read_tasks, instruction, instances),
    )


def _read_tasks(instruction: str, instances: str, value: Any) -> list[Part]:
    row = columns_in(value)
    prompt = text_at(row, instruction, "instruction")
    return parts_of(partial(_instance, prompt), list_at(row, instances), "empty_instances")


def _instance(prompt: str, value: Any) -> Turns:
    row = columns_in(value)
    answer = text_at(row, "output", "output")
    context, odd = given_context(optional_text_at(row, "input", "input"))
    question = Message(role="user", content=prompt, context=context)
    return exchange(question, Message(role="assistant", content=answer), odd)


def as_intents(profile: Profile) -> Shape | None:
    """Intents of a chatbot: patterns that people say, and responses to them."""
    patterns = profile.find("patterns", kinds=_LISTED)
    responses = profile.find("responses", kinds=_LISTED)
    if patterns is None or responses is None:
        return None
    return Shape(
        name="intents",
        described=f"intents ({patterns}, {responses}): of n responses, number i modulo n answers pattern i",
        columns=(patterns, responses),
        reader=partial(_read_intents, patterns, responses),
    )


def _read_intents(patterns: str, responses: str, value: Any) -> list[Part]:
    """Pair pattern i with response i mod n, counted from 0.

    Every response fits every pattern, so any pairing would do. This one needs no chance, uses each pattern
    once, and each response that it can.
    """
    row = columns_in(value)
    asked, told = list_at(row, patterns), list_at(row, responses)
    if not told:
        raise Malformed("empty_responses")
    pairs = [(pattern, told[number % len(told)]) for number, pattern in enumerate(asked)]
    return parts_of(_exchange, pairs, "empty_patterns")


def _exchange(pair: tuple[Any, Any]) -> Turns:
    (question,), (answer,) = texts_in([pair[0]], "pattern"), texts_in([pair[1]], "response")
    return exchange(Message(role="user", content=question), Message(role="assistant", content=answer))


def list_at(row: Any, column: str) -> list[Any]:
    """The list of a column; a text alone is a list of one.

    Raises:
        Malformed: missing_ or wrong_type_ and the column.
    """
    found = row.get(column)
    if found is None:
        raise Malformed(f"missing_{column}")
    if isinstance(found, str):
        return [found]
    if not isinstance(found, (list, tuple)):
        raise Malformed(f"wrong_type_{column}")
    return list(found)
