import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.read import BadRow, Row, SourceRow
from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.json_values import rows_of_values
from lorascope.prepare.read.window import Window

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


def lines_of(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def walked(text: str, piece: int = 1 << 20) -> list[Row]:
    return list(rows_of_values(Window(io.StringIO(text, newline="").read, piece)))


def test_an_array_on_one_line_is_read(read: Read) -> None:
    assert read(json.dumps(ROWS), "rows.json") == [(1, row) for row in ROWS]


def test_a_pretty_array_gives_the_line_each_row_starts_on(read: Read) -> None:
    # "[" is line 1; each row takes 5 lines: {, three keys, }.
    text = json.dumps(ROWS, indent=2)
    assert text.splitlines()[1].strip() == "{"
    assert read(text, "rows.json") == [(2, ROWS[0]), (7, ROWS[1]), (12, ROWS[2])]


def test_pretty_objects_that_follow_one_another_are_read(read: Read) -> None:
    text = "\n".join(json.dumps(row, indent=2) for row in ROWS)
    assert read(text, "rows.json") == [(1, ROWS[0]), (6, ROWS[1]), (11, ROWS[2])]
    assert read(text, "rows.jsonl") == [(1, ROWS[0]), (6, ROWS[1]), (11, ROWS[2])]


def test_lists_inside_rows_are_no_rows(read: Read) -> None:
    rows = [{"messages": [{"role": "user", "content": "[{"}, {"role": "assistant", "content": "}]"}]}] * 2
    for text in (json.dumps(rows), json.dumps(rows, indent=1), lines_of(rows)):
        assert [value for _, value in read(text, "rows.json")] == rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_windows_change_nothing(end: str, read: Read) -> None:
    assert read(end.join(map(json.dumps, ROWS)), "rows.jsonl") == list(enumerate(ROWS, start=1))
    pretty = json.dumps(ROWS, indent=2).replace("\n", end)
    assert [line for line, _ in read(pretty, "rows.json")] == [2, 7, 12]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("reason", ["not_json", "nan_or_infinity", "duplicate_key"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_row_of_an_array_hides_no_other(
    place: int, reason: str, indent: int | None, read: Read
) -> None:
    rows = [{"instruction": f"r{n}", "turns": [{"role": "x"}], "output": 1.5} for n in range(3)]
    broken = {"not_json": "1.5 oops", "nan_or_infinity": "NaN", "duplicate_key": '1, "output": 2'}[reason]
    texts = [json.dumps(row, indent=indent) for row in rows]
    texts[place] = texts[place].replace("1.5", broken)
    found = read("[" + ",\n".join(texts) + "]", "rows.json")
    assert [value for _, value in found] == [reason if n == place else row for n, row in enumerate(rows)]
    # One line each, or with indent=1 nine: {, instruction, turns, {, role, }, ], output, }.
    assert [line for line, _ in found] == ([1, 2, 3] if indent is None else [1, 10, 19])


def test_a_broken_row_on_a_single_line_hides_no_other(read: Read) -> None:
    text = '[{"a": 1}, {"a": oops}, {"a": 3}, {"a": NaN}, {"a": 5}]'
    assert [value for _, value in read(text, "rows.json")] == [
        {"a": 1},
        "not_json",
        {"a": 3},
        "nan_or_infinity",
        {"a": 5},
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_that_was_cut_says_so_once(indent: int | None, read: Read) -> None:
    text = json.dumps(ROWS, indent=indent)
    inside = text[: text.rindex("2!") + 1]
    assert [value for _, value in read(inside, "rows.json")] == [*ROWS[:2], "cut_short"]
    between = text[: text.rindex("{")].rstrip().rstrip(",")
    assert [value for _, value in read(between, "rows.json")] == [*ROWS[:2], "cut_short"]


def test_text_behind_an_array_is_a_bad_row(read: Read) -> None:
    assert read(json.dumps(ROWS[:1]) + "\nthe end", "rows.json") == [(1, ROWS[0]), (2, "not_json")]


def test_several_values_on_one_line_are_read(read: Read) -> None:
    assert read('{"a": 1} {"a": 2}{"a": 3}', "rows.json") == [(1, {"a": 1}), (1, {"a": 2}), (1, {"a": 3})]


def test_one_object_is_one_row(read: Read) -> None:
    row = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    assert read(json.dumps(row, indent=2), "rows.json") == [(1, row)]
    assert read(json.dumps(row), "rows.json") == [(1, row)]


def test_a_comma_behind_the_last_row_of_an_array_costs_nothing(read: Read) -> None:
    assert read('[{"a": 1},\n{"a": 2},\n]', "rows.json") == [(1, {"a": 1}), (2, {"a": 2})]


def test_a_comma_behind_the_last_key_of_a_row_is_a_bad_row(read: Read) -> None:
    assert read('[{"a": 1,},\n{"a": 2}]', "rows.json") == [(1, "not_json"), (2, {"a": 2})]


def test_a_row_that_is_broken_twice_is_one_bad_row(read: Read) -> None:
    # Refused for its NaN, and then there is no end to be found either.
    assert read('[{"a": NaN, "b": oops},\n{"a": 2}]', "rows.json") == [(1, "not_json"), (2, {"a": 2})]


@pytest.mark.parametrize("fault", ["{'from': 1}", '{"from": "x"', '{"from": "x}', '{"from": oops}', "oops"])
def test_objects_inside_of_a_broken_row_are_no_rows(fault: str, read: Read) -> None:
    # Turns begin with the same key as the rows, so only their other keys tell them apart.
    turns = '[{"from": "a", "value": "b"}, ' + fault + ', {"from": "a", "value": "b"}]'
    good = {"from": "x", "turns": [{"from": "a", "value": "b"}], "id": 1}
    text = ",\n".join([json.dumps(good), '{"from": "x", "turns": ' + turns + ', "id": 2}', json.dumps(good)])
    found = read(f"[{text}]", "rows.json")
    assert [one for one in found if isinstance(one[1], dict)] == [(1, good), (3, good)]
    assert found[1] == (2, "not_json")


def test_rows_that_are_lists_survive_a_broken_one(read: Read) -> None:
    text = '[\n["a", "b"],\n["c" oops, "d"],\n["e", "f"]\n]'
    assert read(text, "rows.json") == [(2, ["a", "b"]), (3, "not_json"), (4, ["e", "f"])]


def test_rows_that_are_single_texts_survive_a_broken_one(read: Read) -> None:
    assert read('["a, b", oops, "c"]', "rows.json") == [(1, "a, b"), (1, "not_json"), (1, "c")]


def test_rows_with_other_keys_survive_a_broken_one(read: Read) -> None:
    rows = [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {"b": 5, "c": 6}]
    first, second, third = map(json.dumps, rows)
    found = read(f"[{first}, {{oops}}, {second}, {third}]", "rows.json")
    assert found == [(1, rows[0]), (1, "not_json"), (1, rows[1]), (1, rows[2])]


def test_lines_are_counted_in_files_of_old_macs(read: Read) -> None:
    found = read('{"a": 1}\r{"a": oops}\r\r{"a": 3}\r', "rows.jsonl")
    assert found == [(1, {"a": 1}), (2, "not_json"), (4, {"a": 3})]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_where_the_text_is_cut_for_reading_changes_nothing(piece: int) -> None:
    values = [1, -2.5e-3, True, None, 'a\\"b\u00e9\U0001f600', {"a": [1.5e3, {}]}, [], 12345, 0]
    apart = [value for value in values if value != []]  # an array by itself holds the rows
    texts = {json.dumps(values): values, json.dumps(values, indent=1): values}
    for text, wanted in {**texts, " ".join(map(json.dumps, apart)): apart}.items():
        assert walked(text, piece) == walked(text)
        assert [row.value for row in walked(text) if isinstance(row, SourceRow)] == wanted
    broken = '[{"a": 1}, {"a": "x, "b": 2}, {"a": 1e}, {"a": NaN}, {"a": 5}, {"a'
    assert walked(broken, piece) == walked(broken)
    assert [row.reason for row in walked(broken) if isinstance(row, BadRow)] == [
        "not_json",
        "not_json",
        "nan_or_infinity",
        "cut_short",
    ]


def test_a_row_without_end_is_named_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 1000)
    text = '[{"a": 1},\n{"a": "' + "x" * 5000 + '"},\n{"a": 3}]'
    first, second, third = walked(text, piece=100)
    assert (first, third) == (SourceRow(1, {"a": 1}), SourceRow(3, {"a": 3}))
    assert isinstance(second, BadRow)
    assert (second.line, second.reason, second.excerpt) == (2, "row_too_large", '{"a": "' + "x" * 73)


def test_no_more_is_held_than_a_row_needs() -> None:
    # 1,000 rows of 1,000 characters, read 4,096 at a time.
    text = io.StringIO(json.dumps([{"a": "x" * 990} for _ in range(1000)]))
    window = Window(text.read, piece=4096)
    held = [len(window.text) for _ in rows_of_values(window)]
    assert len(held) == 1000
    assert max(held) <= 3 * 4096
