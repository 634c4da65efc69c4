from typing import Any

import pytest
import yaml

from lorascope.prepare.shapes.guess import as_setting, best_guess
from lorascope.prepare.shapes.profile import Profile

LONG = "A text that is longer than forty characters, so it may say something."


@pytest.mark.parametrize(
    ("row", "guess"),
    [
        # Names like known ones decide.
        (
            {"id": 1, "instructions": "add 1", "outputs": "it is 2"},
            {"prompt": "instructions", "answer": "outputs"},
        ),
        (
            {"reply_text": "yes it is", "Questions": "is it so"},
            {"prompt": "Questions", "answer": "reply_text"},
        ),
        # Else the first text is the prompt and the last the answer; a long one between them is the context.
        ({"left": "one two", "right": "three four"}, {"prompt": "left", "answer": "right"}),
        (
            {"question": "who is it", "schema": LONG, "cypher": "MATCH (n)"},
            {"prompt": "question", "context": "schema", "answer": "cypher"},
        ),
        ({"left": "one two", "middle": "a b", "right": "three four"}, {"prompt": "left", "answer": "right"}),
        # Ids are single words.
        ({"key": "row_17", "left": "one two", "right": "three four"}, {"prompt": "left", "answer": "right"}),
        # What people turned down is never the answer.
        ({"one": "a b", "rejected": "c d", "two": "e f"}, {"prompt": "one", "answer": "two"}),
        ({"body": LONG, "id": 3}, {"text": "body"}),
        ({"id": 3}, {}),
        ({}, {}),
    ],
)
def test_the_best_guess(row: dict[str, Any], guess: dict[str, str]) -> None:
    assert best_guess(Profile([row])) == guess


def test_a_column_of_the_same_few_words_is_a_label() -> None:
    rows = [
        {"topic": ["the sea", "the sky"][n % 2], "left": f"one {n}", "right": f"two {n}"} for n in range(8)
    ]
    assert best_guess(Profile(rows)) == {"prompt": "left", "answer": "right"}


@pytest.mark.parametrize(
    "name", ["a", "Source Text", "\u8cea\u554f", "yes", "null", "a: b", 'say "x"', "1", "{", "#"]
)
def test_a_guess_is_written_as_the_setting_that_it_is(name: str) -> None:
    guess = {"prompt": name, "answer": "b"}
    assert yaml.safe_load(as_setting(guess)) == guess
