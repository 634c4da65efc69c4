import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import Row, SourceRow, open_source

Read = Callable[..., list[tuple[int, Any]]]
TURNS = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


def values(rows: list[Row]) -> list[Any]:
    return [row.value for row in rows if isinstance(row, SourceRow)]


@pytest.mark.parametrize("indent", [None, 1])
def test_the_list_that_holds_the_rows_is_found(indent: int | None, read: Read) -> None:
    rows = [{"a": 1}, {"a": 2}]
    for wrapped in (
        {"version": "1.1", "data": rows},
        {"data": rows, "license": {"name": "x"}, "splits": ["a", "b"]},
        {"intents": rows},
        {"my rows": rows},
        {"Rows": rows, "more": None},
        {"data": [["a", "b"], ["c", "d"]]},
    ):
        found = read(json.dumps(wrapped, indent=indent), "rows.json")
        held = next(value for value in wrapped.values() if isinstance(value, list) and len(value) == 2)
        assert [value for _, value in found] == held


def test_rows_of_a_list_have_the_line_they_start_on(read: Read) -> None:
    # { is line 1, "version" 2, "data" 3; a row takes three lines.
    text = json.dumps({"version": 1, "data": [{"a": 1}, {"a": 2}]}, indent=1)
    assert read(text, "rows.json") == [(4, {"a": 1}), (7, {"a": 2})]


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": TURNS},
        {"messages": [{"role": "user", "content": "a"}]},
        {"instruction": "x", "output": "y", "history": [["a", "b"]]},
        {"instruction": "x", "output": "y"},
        {"text": "a", "entities": [{"start": 1}]},
        {},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_that_is_a_row_stays_one(indent: int | None, row: dict[str, Any], read: Read) -> None:
    assert read(json.dumps(row, indent=indent), "rows.json") == [(1, row)]
    assert [value for _, value in read("\n".join([json.dumps(row, indent=indent)] * 2), "rows.json")] == [
        row
    ] * 2


def test_lists_named_as_splits_are_splits(write: Callable[..., Path]) -> None:
    held = {"valid": [{"a": 1}], "train": [{"a": 2}, {"a": 3}], "test": []}
    source = open_source(write(json.dumps(held), "toy.json"))
    assert source.splits == ("validation", "train", "test")
    assert [values(list(source.rows(split))) for split in source.splits] == list(held.values())
    assert [part.file for part in source.parts] == ["toy.json:valid", "toy.json:train", "toy.json:test"]
    assert source.described == 'JSON, list "valid"; JSON, list "train"; JSON, list "test"'
    with pytest.raises(DataError, match='has no split "dev"'):
        list(source.rows("dev"))


def test_a_list_can_be_named(read: Read, write: Callable[..., Path]) -> None:
    text = json.dumps({"good": [{"a": 1}], "bad": [{"a": 2}], "n": 2})
    assert read(text, "rows.json", key="bad") == [(1, {"a": 2})]
    for key, said in (("god", 'did you mean "good"'), ("n", "available: bad, good")):
        with pytest.raises(DataError, match=said):
            open_source(write(text, "rows.json"), key=key)
    for content, name in (
        ('[{"a": 1}]', "rows.json"),
        ('{"a": 1}\n{"a": 2}\n', "rows.jsonl"),
        ("a\n1\n", "a.csv"),
    ):
        with pytest.raises(DataError, match="this is none"):
            open_source(write(content, name), key="data")


def test_lists_of_which_any_may_hold_the_rows_are_not_guessed_at(read: Read) -> None:
    with pytest.raises(DataError, match='it holds 2 lists: "good", "bad"'):
        read(json.dumps({"good": [{"a": 1}], "bad": [{"a": 2}]}), "rows.json")


def test_one_row_that_may_be_many_says_so(write: Callable[..., Path]) -> None:
    source = open_source(write(json.dumps({"things": [{"a": 1}, {"a": 2}], "n": 2}), "rows.json"))
    assert len(list(source.rows())) == 1
    assert source.notes == (
        'rows.json is one object, read as one row; if a list in it holds the rows, name its key: "things"',
    )


@pytest.mark.parametrize("indent", [None, 1])
def test_a_broken_row_of_a_list_hides_no_other(indent: int | None, read: Read) -> None:
    text = json.dumps({"data": [{"a": 1}, {"a": 2.5}, {"a": 3}], "n": 3}, indent=indent).replace(
        "2.5", "oops"
    )
    assert [value for _, value in read(text, "rows.json")] == [{"a": 1}, "not_json", {"a": 3}]


def test_a_list_that_was_cut_says_so(read: Read) -> None:
    found = read('{"version": 1, "data": [{"a": 1}, {"a": 2}, {"a', "rows.json")
    assert [value for _, value in found] == [{"a": 1}, {"a": 2}, "cut_short"]


def test_a_key_that_stands_twice_around_the_rows_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match='its key "data" stands twice'):
        read('{"data": [{"a": 1}], "data": [{"a": 2}]}', "rows.json")


def test_a_table_by_columns_is_refused_with_the_way_out(read: Read) -> None:
    text = json.dumps({"instruction": {"0": "a", "1": "b"}, "output": {"0": "c", "1": "d"}})
    with pytest.raises(DataError, match="written column by column"):
        read(text, "rows.json")
