from collections.abc import Callable
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.shapes.detect import detect, find_shape, shape_named
from lorascope.prepare.shapes.shape import Part, Turns
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import Message

PLAIN = Turns(messages=(Message(role="text", content="The sea."),))


@pytest.mark.parametrize(
    "row",
    [
        {"text": "The sea."},
        {"content": "The sea."},
        {"text": "The sea.", "url": "https://example.org", "id": 3, "meta": {"a": 1}},
    ],
)
def test_a_column_of_text_alone_is_plain_text(row: Any, read: Callable[..., Part]) -> None:
    assert detect([row], "rows.json").described == f"plain text ({next(iter(row))}), all of it learnt"
    assert read(row) == PLAIN


def test_another_column_of_long_texts_might_be_the_answer() -> None:
    with pytest.raises(DataError, match="no known columns"):
        detect([{"text": "The sea.", "retold": "It is wide. " * 20}], "rows.json")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "missing_text"),
        ({"text": None}, "null_text"),
        ({"text": " "}, "empty_text"),
        ({"text": 3}, "wrong_type_text"),
        ({"text": "\ud83d"}, "lone_surrogate_text"),
        ("The sea.", "not_an_object"),
    ],
)
def test_a_row_without_text_has_its_reason(row: Any, code: str, reason: Callable[..., str]) -> None:
    assert reason(row, {"text": "The sea."}) == code


def test_rows_that_are_texts_are_read_only_where_the_user_says_so() -> None:
    with pytest.raises(DataError, match="no rows with named columns"):
        detect(["The sea."], "rows.jsonl")
    shape = shape_named("text", ["The sea."], "rows.jsonl")
    assert shape.read("The sea.") == [PLAIN]
    assert shape.read(" ") == ["empty_text"]
    assert shape.read({"text": "a"}) == ["wrong_type_text"]


def test_the_user_may_name_the_column_of_text() -> None:
    rows = [{"body": "The sea.", "text": "another " * 50}]
    assert find_shape(rows, "rows.json", columns=ColumnsSection(text="body")).read(rows[0]) == [PLAIN]


def test_signals_of_a_plain_text_are_kept(read: Callable[..., Part]) -> None:
    found = read({"text": "Dear {{name}},"})
    assert isinstance(found, Turns)
    assert found.odd == ("placeholder",)
