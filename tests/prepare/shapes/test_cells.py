from typing import Any

import pytest

from lorascope.prepare.shapes.cells import (
    Malformed,
    code_of,
    is_blank,
    is_encodable,
    json_text,
    optional_text_at,
    parsed_json,
    text_at,
    value_at,
)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "missing_answer"),
        ({"answer": None}, "null_answer"),
        ({"answer": ""}, "empty_answer"),
        ({"answer": " \t\n"}, "empty_answer"),
        ({"answer": 3}, "wrong_type_answer"),
        ({"answer": True}, "wrong_type_answer"),
        ({"answer": ["a"]}, "wrong_type_answer"),
        ({"answer": {"a": 1}}, "wrong_type_answer"),
        ({"answer": "half \ud83d"}, "lone_surrogate_answer"),
    ],
)
def test_a_cell_that_is_no_text_has_its_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        text_at(row, "answer", "answer")
    assert caught.value.reason == reason


def test_a_text_stays_letter_by_letter_what_it_is() -> None:
    assert text_at({"a": " two\r\n lines \u200b"}, "a", "answer") == " two\r\n lines \u200b"


@pytest.mark.parametrize("row", [{}, {"input": None}, {"input": ""}, {"input": " \n"}])
def test_an_optional_cell_may_be_missing_or_blank(row: dict[str, Any]) -> None:
    assert optional_text_at(row, "input", "context") == ""


def test_an_optional_cell_of_the_wrong_type_is_malformed() -> None:
    for value, reason in (
        (3, "wrong_type_input"),
        ([], "wrong_type_input"),
        ("\udc00", "lone_surrogate_input"),
    ):
        with pytest.raises(Malformed, match=reason):
            optional_text_at({"input": value}, "input", "context")


def test_a_dot_goes_into_an_object_unless_a_column_has_that_very_name() -> None:
    row = {"translation": {"en": "sea", "x.y": 1}, "a.b": "whole"}
    assert value_at(row, "translation.en") == "sea"
    assert value_at(row, "translation.x.y") == 1
    assert value_at(row, "a.b") == "whole"
    assert value_at(row, "translation.de") is None
    assert value_at(row, "a.c") is None


def test_a_missing_key_of_an_object_is_missing_and_a_null_one_null() -> None:
    for row, reason in (
        ({"t": {}}, "missing_t_en"),
        ({"t": {"en": None}}, "null_t_en"),
        ({}, "missing_t_en"),
    ):
        with pytest.raises(Malformed, match=reason):
            text_at(row, "t.en", "prompt")


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("output", "output"),
        ("Hard-Negative", "hard_negative"),
        (" Source Text ", "source_text"),
        ("\u56de\u7b54", "answer"),  # no ASCII: named by what it stands for
        ("!", "answer"),
        ("", "answer"),
    ],
)
def test_a_reason_names_its_column_in_snake_case(column: str, code: str) -> None:
    assert code_of(column, "answer") == code


def test_halves_of_characters_cannot_be_written() -> None:
    assert is_encodable("plain") and is_encodable("\U0001f600 \u56de")
    assert not is_encodable("\ud83d") and not is_encodable("a\udc00b")


def test_json_text_is_readable_and_refuses_what_json_has_no_place_for() -> None:
    assert json_text({"city": "K\u00f6ln"}, "bad") == '{"city": "K\u00f6ln"}'
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (float("nan"), {1, 2}, b"bytes", "\ud83d", deep):
        with pytest.raises(Malformed, match="bad"):
            json_text(value, "bad")


def test_json_that_is_nested_too_deeply_is_no_value() -> None:
    with pytest.raises(ValueError):
        parsed_json("[" * 100_000)


def test_a_text_of_which_nothing_can_be_seen_is_blank() -> None:
    blank = ["", " \n", "\u200b", "\ufeff \u200d", "\x00", "\u202e", "\u3000"]
    assert [is_blank(text) for text in blank] == [True] * len(blank)
    seen = ["a", ".", "\u200ba", "\u4f60", "\ufffd", "0" * 100]
    assert [is_blank(text) for text in seen] == [False] * len(seen)
