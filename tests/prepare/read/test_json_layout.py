import json
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.errors import DataError

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


def lines_of(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
def test_the_content_decides_and_not_the_name(form: str, name: str, read: Read) -> None:
    text = {"lines": lines_of(ROWS), "array": json.dumps(ROWS), "pretty": json.dumps(ROWS, indent=1)}[form]
    assert [value for _, value in read(text, name)] == ROWS


def test_lines_that_hold_arrays_stay_lines(read: Read) -> None:
    assert read('["a", "b"]\n["c"]\n', "rows.jsonl") == [(1, ["a", "b"]), (2, ["c"])]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_a_file_of_nothing_but_white_space_has_no_rows(name: str, read: Read) -> None:
    assert read("\n \n\n" if name != "rows.csv" else "\n\n", name) == []


def test_objects_that_do_not_end_with_a_line_are_read(read: Read) -> None:
    text = '{"a": 1, "b": {"c": 2}\n, "d": 3}\n{"a": 4, "b": {"c": 5}\n, "d": 6}\n'
    assert read(text, "rows.jsonl") == [
        (1, {"a": 1, "b": {"c": 2}, "d": 3}),
        (3, {"a": 4, "b": {"c": 5}, "d": 6}),
    ]


def test_two_broken_lines_at_the_start_stay_lines(read: Read) -> None:
    found = read('{"a": }\n{"b": }\n{"a": 3}\n', "rows.jsonl")
    assert found == [(1, "not_json"), (2, "not_json"), (3, {"a": 3})]


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.json"])
def test_plain_text_is_refused_with_its_first_line(name: str, read: Read) -> None:
    with pytest.raises(DataError) as caught:
        read("\nOnce upon a time\nthere was a file.\n", name)
    assert f'"{name}" holds no JSON' in caught.value.message
    assert "line 2: Once upon a time" in caught.value.message
    assert "the first 2 rows are: not_json" in caught.value.message


def test_text_among_the_rows_is_bad_rows(read: Read) -> None:
    found = read('# my rows\n{"a": 1}\nthe end\n', "rows.jsonl")
    assert found == [(1, "not_json"), (2, {"a": 1}), (3, "not_json")]


def test_a_table_named_json_is_refused_with_a_hint(read: Read) -> None:
    with pytest.raises(DataError, match=r"if it is a table, name it \.csv or \.tsv"):
        read("instruction,output\na,b\n", "rows.jsonl")


@pytest.mark.parametrize("name", ["rows.csv", "rows.txt", "rows"])
def test_json_under_another_name_is_read(name: str, read: Read) -> None:
    assert read('{"a": 1}\n{"a": 2}\n', name) == [(1, {"a": 1}), (2, {"a": 2})]
    assert read('[{"a": 1}, {"a": 2}]', name) == [(1, {"a": 1}), (1, {"a": 2})]


def test_lines_in_another_encoding_are_refused_as_a_whole(read: Read) -> None:
    row = json.dumps({"a": "l'\u00e9t\u00e9 \u00e0 la plage"}, ensure_ascii=False)
    with pytest.raises(DataError, match=r"it may be WINDOWS-1252; if so: iconv -f WINDOWS-1252 -t UTF-8"):
        read("\n".join([row] * 10).encode("cp1252"), "rows.jsonl")
    # One row in UTF-8 among them, and it is no longer certain that all are wrong.
    lines = [row.encode("cp1252")] * 10 + [row.encode()]
    assert [value for _, value in read(b"\n".join(lines), "rows.jsonl")] == ["bad_utf8"] * 10 + [
        json.loads(row)
    ]
