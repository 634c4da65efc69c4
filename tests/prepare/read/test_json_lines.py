import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow, open_source
from lorascope.prepare.read import rows as limits
from lorascope.prepare.read.json_lines import LineRange, Lines

Read = Callable[..., list[tuple[int, Any]]]
ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


def lines_of(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_json_lines_are_read_with_their_lines(read: Read) -> None:
    assert read(lines_of(ROWS), "rows.jsonl") == list(enumerate(ROWS, start=1))


def test_blank_lines_are_passed_over_and_counted_in_line_numbers(read: Read) -> None:
    assert read('\n{"a": 1}\n\n  \n{"a": 2}\n\n', "rows.jsonl") == [(2, {"a": 1}), (5, {"a": 2})]


def test_a_line_separator_inside_a_text_ends_no_line(read: Read) -> None:
    row = {"output": "one\u2028two\u0085three\x0bfour"}
    text = json.dumps(row, ensure_ascii=False) + "\n" + json.dumps(ROWS[0]) + "\n"
    assert read(text, "rows.jsonl") == [(1, row), (2, ROWS[0])]


def test_values_that_look_odd_but_are_json_are_kept(read: Read) -> None:
    values = [{"a": -0.0, "b": 10**30}, {}, {"": ""}, None, 3, "text", [], True]
    assert [value for _, value in read(lines_of(values), "rows.jsonl")] == values


BROKEN = {
    "not_json": b'{"a": }',
    "bad_utf8": b'{"a": "caf\xe9"}',
    "nan_or_infinity": b'{"a": NaN}',
    "duplicate_key": b'{"a": 1, "a": 2}',
    "two_values_on_a_line": b'{"a": 1} {"a": 2}',
}


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_broken_line_is_named_and_hides_no_other(reason: str, place: int, read: Read) -> None:
    lines = [b'{"a": 0}', b'{"a": 0}']
    lines.insert(place - 1, BROKEN[reason])
    found = read(b"\n".join(lines) + b"\n", "rows.jsonl")
    assert found == [(line, reason if line == place else {"a": 0}) for line in (1, 2, 3)]


@pytest.mark.parametrize("text", ["Infinity", "-Infinity", "NaN"])
def test_numbers_that_json_does_not_have_are_refused(text: str, read: Read) -> None:
    found = read(f'{{"a": 0}}\n{{"a": [{text}]}}\n', "rows.jsonl")
    assert found == [(1, {"a": 0}), (2, "nan_or_infinity")]


def test_a_key_that_stands_twice_deep_inside_is_found(read: Read) -> None:
    assert read('{"a": [{"b": 1, "b": 1}]}\n', "rows.jsonl") == [(1, "duplicate_key")]


def test_a_last_line_that_was_cut_is_a_bad_row(read: Read) -> None:
    text = lines_of(ROWS)[:-12]
    assert read(text, "rows.jsonl") == [(1, ROWS[0]), (2, ROWS[1]), (3, "not_json")]


def test_a_first_line_that_was_cut_hides_no_other(read: Read) -> None:
    text = '{"instruction": "a"\n' + lines_of(ROWS)
    assert read(text, "rows.jsonl") == [
        (1, "not_json"),
        *((n + 2, row) for n, row in enumerate(ROWS)),
    ]


def test_very_deep_nesting_is_a_bad_row(read: Read) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    found = read(f'{{"a": 0}}\n{{"a": {deep}}}\n{{"a": 1}}\n', "rows.jsonl")
    assert found == [(1, {"a": 0}), (2, "not_json"), (3, {"a": 1})]


def test_half_of_a_character_comes_through_as_found(read: Read) -> None:
    # JSON can write half of a pair; whether a row may hold it is for the rows to say.
    assert read('{"a": "\\ud83d"}\n', "rows.jsonl") == [(1, {"a": "\ud83d"})]


def test_a_comma_behind_a_row_is_named_for_what_it_is(read: Read) -> None:
    # The lines of an array without its brackets.
    found = read('{"a": 1},\n{"a": 2},\n{"a": 3}\n', "rows.jsonl")
    assert found == [(1, "trailing_comma"), (2, "trailing_comma"), (3, {"a": 3})]


def test_files_with_byte_order_marks_can_be_put_together(read: Read) -> None:
    mark = b"\xef\xbb\xbf"
    found = read(mark + b'{"a": 1}\n{"a": 2}\n' + mark + b'{"a": 3}\n', "rows.jsonl")
    assert found == [(1, {"a": 1}), (2, {"a": 2}), (3, {"a": 3})]


def test_a_number_with_more_digits_than_python_reads_is_a_bad_row(read: Read) -> None:
    found = read('{"a": 1}\n{"a": ' + "9" * 5000 + '}\n{"a": 3}\n', "rows.jsonl")
    assert found == [(1, {"a": 1}), (2, "not_json"), (3, {"a": 3})]


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_line_beyond_the_longest_row_is_named_and_hides_no_other(
    place: int, end: str, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 100)
    lines = ['{"a": 0}', '{"a": 0}']
    lines.insert(place - 1, json.dumps({"a": "x" * 350}))
    found = read("\n".join(lines) + end, "rows.jsonl")
    assert found == [(line, "row_too_large" if line == place else {"a": 0}) for line in (1, 2, 3)]


def test_a_line_of_exactly_the_longest_row_is_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    # {"a": "xxx"}\n is 10 bytes and the x.
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 100)
    rows = [{"a": "x" * 90}, {"a": "x" * 91}, {"a": "x"}]
    assert read(lines_of(rows), "rows.jsonl") == [(1, rows[0]), (2, "row_too_large"), (3, rows[2])]


def test_a_chunk_of_a_plain_file_holds_a_place_and_no_text(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(lines_of(ROWS * 100))
    first, second, *_ = open_source(tmp_path / "rows.jsonl").chunks(num_bytes=1000)
    assert isinstance(first.content, LineRange) and isinstance(second.content, LineRange)
    # The chunk ends with the line in which its thousandth byte lies.
    ends = [at for at, char in enumerate(lines_of(ROWS * 100), start=1) if char == "\n"]
    num_lines = next(number for number, end in enumerate(ends, start=1) if end >= 1000)
    assert first.content.num_bytes == second.content.offset == ends[num_lines - 1]
    assert second.content.line == num_lines + 1


def test_a_chunk_of_a_compressed_file_holds_its_lines(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines_of(ROWS).encode()))
    chunks = list(open_source(tmp_path / "rows.jsonl.gz").chunks(num_bytes=1))
    assert [chunk.content for chunk in chunks] == [
        Lines(f"{json.dumps(row)}\n".encode(), line) for line, row in enumerate(ROWS, start=1)
    ]


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines_of(ROWS))
    (chunk,) = open_source(path).chunks()
    path.write_text(lines_of(ROWS[:1]))
    with pytest.raises(DataError, match="became shorter while it was read"):
        list(chunk.rows())
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        list(chunk.rows())


def test_a_bad_byte_shows_what_stands_around_it(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{"a": "caf\xe9"}\n')
    assert list(open_source(tmp_path / "rows.jsonl").rows()) == [
        SourceRow(1, {"a": 1}),
        BadRow(2, "bad_utf8", '{"a": "caf\ufffd"}'),
    ]
