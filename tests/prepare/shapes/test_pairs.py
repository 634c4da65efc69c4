from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect, find_shape
from lorascope.prepare.shapes.shape import Part, Turns
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import Message

Said = Callable[..., list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("row", "name", "described"),
    [
        (
            {"instruction": "a", "input": "", "output": "b"},
            "alpaca",
            "Alpaca rows (instruction, input, output)",
        ),
        ({"output": "b", "instruction": "a"}, "alpaca", "Alpaca rows (instruction, output)"),
        (
            {"instruction": "a", "context": "", "response": "b", "category": "c"},
            "alpaca",
            "Dolly rows (instruction, context, response)",
        ),
        ({"Instruction": "a", "Output": "b"}, "alpaca", "Alpaca rows (Instruction, Output)"),
        ({"prompt": "a", "completion": "b"}, "pairs", "prompts and answers (prompt, completion)"),
        ({"prompt": "a", "response": "b"}, "pairs", "prompts and answers (prompt, response)"),
        ({"id": 1, "question": "a", "answer": "b"}, "pairs", "prompts and answers (question, answer)"),
        (
            {"question": "a", "context": "c", "answer": "b"},
            "pairs",
            "prompts and answers (question, context, answer)",
        ),
        ({"query": "a", "response": "b"}, "pairs", "prompts and answers (query, response)"),
        ({"input": "a", "output": "b", "source": "web"}, "pairs", "prompts and answers (input, output)"),
        (
            {"source_text": "a", "translated_text": "b"},
            "pairs",
            "prompts and answers (source_text, translated_text)",
        ),
        (
            {"system_prompt": "s", "question": "a", "response": "b"},
            "pairs",
            "prompts and answers (system_prompt, question, response)",
        ),
        (
            {"\u8cea\u554f": "a", "\u56de\u7b54": "b", "": "0"},
            "pairs",
            "prompts and answers (\u8cea\u554f, \u56de\u7b54)",
        ),
    ],
)
def test_the_columns_decide_the_shape(row: Any, name: str, described: str, said: Said) -> None:
    shape = detect([row], "rows.json")
    assert (shape.name, shape.described) == (name, described)
    assert said(row)[-2:] == [("user", "a"), ("assistant", "b")]


def test_an_alpaca_row_is_a_question_and_an_answer(read: Callable[..., Part]) -> None:
    found = read({"instruction": " add ", "input": "1 2", "output": "3\n", "id": 9})
    assert found == Turns(
        messages=(
            Message(role="user", content=" add ", context="1 2"),
            Message(role="assistant", content="3\n"),
        )
    )


def context_of(found: Part) -> str:
    assert isinstance(found, Turns)
    return found.messages[0].context


@pytest.mark.parametrize("value", ["", "  \n", None])
def test_a_blank_input_is_no_input(value: str | None, read: Callable[..., Part]) -> None:
    assert context_of(read({"instruction": "a", "input": value, "output": "b"})) == ""


def test_an_input_that_only_later_rows_have_is_read(read: Callable[..., Part]) -> None:
    row = {"instruction": "a", "output": "b"}
    assert context_of(read({**row, "input": "c"}, row)) == "c"
    dolly = {"instruction": "a", "response": "b"}
    assert context_of(read({**dolly, "context": "c"}, dolly)) == "c"


def test_an_input_that_says_there_is_none_is_none_and_said_to_be(read: Callable[..., Part]) -> None:
    found = read({"instruction": "a", "input": "<noinput>", "output": "b"})
    assert isinstance(found, Turns)
    assert (found.messages[0].context, found.odd) == ("", ("no_input",))
    kept = read({"instruction": "What is this in C?", "input": "NULL", "output": "b"})
    assert isinstance(kept, Turns)
    assert (kept.messages[0].context, kept.odd) == ("NULL", ("null_like_context",))


@pytest.mark.parametrize("word", ["undefined", "null", "None", "noinput", "{{name}}", "NaN", "0"])
def test_words_that_look_like_no_value_are_kept(word: str, said: Said) -> None:
    assert said({"instruction": word, "output": word}) == [("user", word), ("assistant", word)]


@pytest.mark.parametrize("name", ["instruction", "output"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "null"),
        ("", "empty"),
        (" \t\n", "empty"),
        (3, "wrong_type"),
        (True, "wrong_type"),
        (["a"], "wrong_type"),
        ({"a": 1}, "wrong_type"),
        ("half \ud83d", "lone_surrogate"),
    ],
)
def test_a_field_that_is_no_text_is_malformed(
    name: str, value: Any, code: str, reason: Callable[..., str]
) -> None:
    row = {"instruction": "a", "output": "b"}
    assert reason({**row, name: value}, row) == f"{code}_{name}"


def test_a_missing_field_is_malformed(reason: Callable[..., str]) -> None:
    row = {"instruction": "a", "output": "b"}
    assert reason({"output": "b"}, row) == "missing_instruction"
    assert reason({"instruction": "a"}, row) == "missing_output"
    assert reason({}, row) == "missing_instruction"
    assert reason(["a", "b"], row) == "not_an_object"


def test_an_input_that_is_no_text_is_malformed(reason: Callable[..., str]) -> None:
    row = {"instruction": "a", "input": "c", "output": "b"}
    assert reason({**row, "input": 3}, row) == "wrong_type_input"
    assert reason({**row, "input": "\udc00"}, row) == "lone_surrogate_input"


def test_an_answer_that_is_a_number_is_said_to_be_one(reason: Callable[..., str]) -> None:
    assert reason({"question": "6 * 7?", "answer": 42}) == "wrong_type_answer"


def test_a_history_comes_before_the_question(said: Said, reason: Callable[..., str]) -> None:
    row = {"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]}
    assert said(row) == [
        ("system", "s"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ]
    assert said({**row, "history": []}, row)[1] == ("user", "c")
    for broken in ("a", [["a"]], ["a"], {"a": "b"}, [["a", 3]]):
        assert reason({**row, "history": broken}, row) == "wrong_type_history"


def test_a_text_that_repeats_the_row_is_named_and_not_read() -> None:
    row = {"instruction": "a b", "input": "c", "output": "d", "text": "### a b\n### c\n### d"}
    shape = detect([row], "rows.json")
    assert shape.described == "Alpaca rows (instruction, input, output); text repeats them and is not read"
    assert shape.redundant == ("text",)
    assert "text" not in shape.columns


def test_columns_of_any_name_are_read_as_the_user_says(read: Callable[..., Part]) -> None:
    rows = [{"question": "Who?", "schema": "(Person)", "cypher": "MATCH", "why": "so", "who": "a poet"}]
    columns = ColumnsSection(
        prompt="question", context="schema", answer="cypher", reasoning="why", system="who"
    )
    shape = find_shape(rows, "rows.json", columns=columns)
    assert shape.read(rows[0]) == [
        Turns(
            messages=(
                Message(role="system", content="a poet"),
                Message(role="user", content="Who?", context="(Person)"),
                Message(role="assistant", content="MATCH", reasoning="so"),
            )
        )
    ]
    assert shape.described == ("prompts and answers, columns as named (who, question, schema, why, cypher)")
    assert shape.read({**rows[0], "cypher": ""}) == ["empty_cypher"]
    nested = [{"translation": {"en": "sea", "de": "Meer"}}]
    columns = ColumnsSection(prompt="translation.en", answer="translation.de")
    (found,) = find_shape(nested, "rows.json", columns=columns).read(nested[0])
    assert isinstance(found, Turns)
    assert [message.content for message in found.messages] == ["sea", "Meer"]


def test_a_column_that_is_named_in_another_script_has_a_reason_in_ours() -> None:
    row = {"\u8cea\u554f": "a", "\u56de\u7b54": "b"}
    shape = detect([row], "rows.csv")
    assert shape.read({**row, "\u56de\u7b54": ""}) == ["empty_answer"]
    assert shape.read({**row, "\u8cea\u554f": None}) == ["null_prompt"]
