from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import Turns
from lorascope.run.message import Message

TASK = {
    "id": "seed_task_0",
    "instruction": "Add.",
    "instances": [{"input": "1 2", "output": "3"}, {"input": "", "output": "0"}],
}
INTENT = {"tag": "greeting", "patterns": ["Hi", "Hello", "Hey"], "responses": ["Welcome!", "Good day."]}


def exchange(question: str, answer: str, context: str = "") -> Turns:
    return Turns(
        messages=(
            Message(role="user", content=question, context=context),
            Message(role="assistant", content=answer),
        )
    )


def test_each_instance_of_a_task_is_a_conversation() -> None:
    shape = detect([TASK], "rows.jsonl")
    assert (shape.name, shape.described) == (
        "seed_tasks",
        "seed tasks (instruction, instances: input, output)",
    )
    assert shape.read(TASK) == [exchange("Add.", "3", "1 2"), exchange("Add.", "0")]


def test_a_malformed_instance_hides_no_other() -> None:
    instances = [{"input": "", "output": ""}, 3, {"output": "0"}, {"input": 3, "output": "0"}]
    assert detect([TASK], "x").read({**TASK, "instances": instances}) == [
        "empty_output",
        "not_an_object",
        exchange("Add.", "0"),
        "wrong_type_input",
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"instances": []}, "empty_instances"),
        ({"instances": None}, "missing_instances"),
        ({"instances": 3}, "wrong_type_instances"),
        ({"instruction": " "}, "empty_instruction"),
    ],
)
def test_a_task_that_cannot_be_read_has_its_reason(changed: dict[str, Any], reason: str) -> None:
    assert detect([TASK], "x").read({**TASK, **changed}) == [reason]


def test_pattern_i_is_answered_by_response_i_modulo_their_number() -> None:
    # Two responses: patterns 0, 1, 2 are answered by responses 0, 1, 0.
    shape = detect([INTENT], "rows.json")
    assert shape.name == "intents"
    assert shape.read(INTENT) == [
        exchange("Hi", "Welcome!"),
        exchange("Hello", "Good day."),
        exchange("Hey", "Welcome!"),
    ]


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"responses": []}, ["empty_responses"]),
        ({"responses": None}, ["missing_responses"]),
        ({"patterns": []}, ["empty_patterns"]),
        ({"patterns": {}}, ["wrong_type_patterns"]),
        ({"patterns": ["Hi", "", 3]}, [exchange("Hi", "Welcome!"), "empty_pattern", "wrong_type_pattern"]),
        ({"responses": [None]}, ["wrong_type_response"] * 3),
        ({"patterns": "Hi", "responses": "Welcome!"}, [exchange("Hi", "Welcome!")]),
    ],
)
def test_an_intent_that_cannot_be_read_has_its_reasons(changed: dict[str, Any], parts: list[Any]) -> None:
    assert detect([INTENT], "x").read({**INTENT, **changed}) == parts
