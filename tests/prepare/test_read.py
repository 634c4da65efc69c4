import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow, excerpt_of, read_rows, unusual_delimiter

ROWS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(3)]


def read(tmp_path: Path, content: str | bytes, name: str) -> list[Any]:
    """What a file holds: (line, value) of a row, (line, reason) of a bad one."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        (row.line, row.value) if isinstance(row, SourceRow) else (row.line, row.reason)
        for row in read_rows(path)
    ]


def lines_of(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# Whole files, in every form


def test_json_lines_are_read_with_their_lines(tmp_path: Path) -> None:
    assert read(tmp_path, lines_of(ROWS), "rows.jsonl") == list(enumerate(ROWS, start=1))


def test_an_array_on_one_line_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(ROWS), "rows.json") == [(1, row) for row in ROWS]


def test_a_pretty_array_gives_the_line_each_row_starts_on(tmp_path: Path) -> None:
    # "[" is line 1; each row takes 5 lines: {, three keys, }.
    text = json.dumps(ROWS, indent=2)
    assert text.splitlines()[1].strip() == "{"
    assert read(tmp_path, text, "rows.json") == [(2, ROWS[0]), (7, ROWS[1]), (12, ROWS[2])]


def test_pretty_objects_that_follow_one_another_are_read(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(row, indent=2) for row in ROWS)
    assert read(tmp_path, text, "rows.json") == [(1, ROWS[0]), (6, ROWS[1]), (11, ROWS[2])]
    assert read(tmp_path, text, "rows.jsonl") == [(1, ROWS[0]), (6, ROWS[1]), (11, ROWS[2])]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("form", ["lines", "array", "pretty"])
def test_the_content_decides_and_not_the_name(form: str, name: str, tmp_path: Path) -> None:
    text = {"lines": lines_of(ROWS), "array": json.dumps(ROWS), "pretty": json.dumps(ROWS, indent=1)}[form]
    assert [value for _, value in read(tmp_path, text, name)] == ROWS


def test_lines_that_hold_arrays_stay_lines(tmp_path: Path) -> None:
    assert read(tmp_path, '["a", "b"]\n["c"]\n', "rows.jsonl") == [(1, ["a", "b"]), (2, ["c"])]


def test_lists_inside_rows_are_no_rows(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "[{"}, {"role": "assistant", "content": "}]"}]}] * 2
    for text in (json.dumps(rows), json.dumps(rows, indent=1), lines_of(rows)):
        assert [value for _, value in read(tmp_path, text, "rows.json")] == rows


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(name: str, tmp_path: Path) -> None:
    text = "instruction,input,output\na,,b\n" if name == "rows.csv" else '{"instruction": "a"}\n'
    (row,) = read(tmp_path, b"\xef\xbb\xbf" + text.encode(), name)
    assert next(iter(row[1])) == "instruction"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_windows_change_nothing(end: str, tmp_path: Path) -> None:
    assert read(tmp_path, end.join(map(json.dumps, ROWS)), "rows.jsonl") == list(enumerate(ROWS, start=1))
    pretty = json.dumps(ROWS, indent=2).replace("\n", end)
    assert [line for line, _ in read(tmp_path, pretty, "rows.json")] == [2, 7, 12]


def test_blank_lines_are_passed_over_and_counted_in_line_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, '\n{"a": 1}\n\n  \n{"a": 2}\n\n', "rows.jsonl") == [(2, {"a": 1}), (5, {"a": 2})]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    row = {"output": "one\u2028two\u0085three\x0bfour"}
    text = json.dumps(row, ensure_ascii=False) + "\n" + json.dumps(ROWS[0]) + "\n"
    assert read(tmp_path, text, "rows.jsonl") == [(1, row), (2, ROWS[0])]


def test_values_that_look_odd_but_are_json_are_kept(tmp_path: Path) -> None:
    values = [{"a": -0.0, "b": 10**30}, {}, {"": ""}, None, 3, "text", [], True]
    assert [value for _, value in read(tmp_path, lines_of(values), "rows.jsonl")] == values


SEPARATED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("delimiter", SEPARATED)
def test_columns_are_found_whatever_separates_them(delimiter: str, name: str, tmp_path: Path) -> None:
    rows = [["instruction", "input", "output"], ["Say, a;b|c.", "", "two\nlines"], ["x", "y", "z"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    found = read(tmp_path, text.getvalue(), name)
    assert found == [(2, dict(zip(rows[0], rows[1], strict=True))), (4, dict(zip(*rows[::2], strict=True)))]
    usual = "," if name == "rows.csv" else "\t"
    assert unusual_delimiter(tmp_path / name) == (None if delimiter == usual else SEPARATED[delimiter])


def test_a_header_that_its_kind_can_read_is_read_by_its_kind(tmp_path: Path) -> None:
    # More bars than commas, and a comma all the same.
    found = read(tmp_path, "instruction,output (a|b|c|d)\nx|y,z\n", "rows.csv")
    assert found == [(2, {"instruction": "x|y", "output (a|b|c|d)": "z"})]


def test_a_single_column_stays_one(tmp_path: Path) -> None:
    assert read(tmp_path, "text\na;b\n", "rows.csv") == [(2, {"text": "a;b"})]
    assert unusual_delimiter(tmp_path / "rows.csv") is None


# Bad rows


BROKEN = {
    "not_json": b'{"a": }',
    "bad_utf8": b'{"a": "caf\xe9"}',
    "nan_or_infinity": b'{"a": NaN}',
    "duplicate_key": b'{"a": 1, "a": 2}',
    "two_values_on_a_line": b'{"a": 1} {"a": 2}',
}


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_broken_line_is_named_and_hides_no_other(reason: str, place: int, tmp_path: Path) -> None:
    lines = [b'{"a": 0}', b'{"a": 0}']
    lines.insert(place - 1, BROKEN[reason])
    found = read(tmp_path, b"\n".join(lines) + b"\n", "rows.jsonl")
    assert found == [(line, reason if line == place else {"a": 0}) for line in (1, 2, 3)]


@pytest.mark.parametrize("text", ["Infinity", "-Infinity", "NaN"])
def test_numbers_that_json_does_not_have_are_refused(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, f'{{"a": 0}}\n{{"a": [{text}]}}\n', "rows.jsonl")
    assert found == [(1, {"a": 0}), (2, "nan_or_infinity")]


def test_a_key_that_stands_twice_deep_inside_is_found(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": [{"b": 1, "b": 1}]}\n', "rows.jsonl") == [(1, "duplicate_key")]


def test_a_last_line_that_was_cut_is_a_bad_row(tmp_path: Path) -> None:
    text = lines_of(ROWS)[:-12]
    assert read(tmp_path, text, "rows.jsonl") == [(1, ROWS[0]), (2, ROWS[1]), (3, "not_json")]


def test_a_first_line_that_was_cut_hides_no_other(tmp_path: Path) -> None:
    text = '{"instruction": "a"\n' + lines_of(ROWS)
    assert read(tmp_path, text, "rows.jsonl") == [
        (1, "not_json"),
        *((n + 2, row) for n, row in enumerate(ROWS)),
    ]


def test_very_deep_nesting_is_a_bad_row(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    found = read(tmp_path, f'{{"a": 0}}\n{{"a": {deep}}}\n{{"a": 1}}\n', "rows.jsonl")
    assert found == [(1, {"a": 0}), (2, "not_json"), (3, {"a": 1})]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("reason", ["not_json", "nan_or_infinity", "duplicate_key"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_row_of_an_array_hides_no_other(
    place: int, reason: str, indent: int | None, tmp_path: Path
) -> None:
    rows = [{"instruction": f"r{n}", "turns": [{"role": "x"}], "output": 1.5} for n in range(3)]
    broken = {"not_json": "1.5 oops", "nan_or_infinity": "NaN", "duplicate_key": '1, "output": 2'}[reason]
    texts = [json.dumps(row, indent=indent) for row in rows]
    texts[place] = texts[place].replace("1.5", broken)
    found = read(tmp_path, "[" + ",\n".join(texts) + "]", "rows.json")
    assert [value for _, value in found] == [reason if n == place else row for n, row in enumerate(rows)]
    # One line each, or with indent=1 nine: {, instruction, turns, {, role, }, ], output, }.
    assert [line for line, _ in found] == ([1, 2, 3] if indent is None else [1, 10, 19])


def test_a_broken_row_on_a_single_line_hides_no_other(tmp_path: Path) -> None:
    text = '[{"a": 1}, {"a": oops}, {"a": 3}, {"a": NaN}, {"a": 5}]'
    assert [value for _, value in read(tmp_path, text, "rows.json")] == [
        {"a": 1},
        "not_json",
        {"a": 3},
        "nan_or_infinity",
        {"a": 5},
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_that_was_cut_says_so_once(indent: int | None, tmp_path: Path) -> None:
    text = json.dumps(ROWS, indent=indent)
    inside = text[: text.rindex("2!") + 1]
    assert [value for _, value in read(tmp_path, inside, "rows.json")] == [*ROWS[:2], "cut_short"]
    between = text[: text.rindex("{")].rstrip().rstrip(",")
    assert [value for _, value in read(tmp_path, between, "rows.json")] == [*ROWS[:2], "cut_short"]


def test_text_behind_an_array_is_a_bad_row(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(ROWS[:1]) + "\nthe end", "rows.json") == [(1, ROWS[0]), (2, "not_json")]


def test_half_of_a_character_comes_through_as_found(tmp_path: Path) -> None:
    # JSON can write half of a pair; whether a row may hold it is for the rows to say.
    assert read(tmp_path, '{"a": "\\ud83d"}\n', "rows.jsonl") == [(1, {"a": "\ud83d"})]


def test_an_excerpt_is_short_and_printable() -> None:
    assert excerpt_of("a\n\x00\u2028\ud83d" + "x" * 100) == "a\\n\\x00\\u2028\\ud83d" + "x" * 75
    assert excerpt_of({"b": "\u00e9"}) == '{"b": "\u00e9"}'
    excerpt_of(["\ud83d"]).encode()


# CSV and TSV


@pytest.mark.parametrize(("name", "mark"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_cells_are_read_by_the_header(name: str, mark: str, tmp_path: Path) -> None:
    text = f" instruction {mark}output\na{mark}b\nc{mark}\n"
    assert read(tmp_path, text, name) == [
        (2, {"instruction": "a", "output": "b"}),
        (3, {"instruction": "c", "output": ""}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quoted_cell_keeps_its_newlines_and_the_next_row_its_line(end: str, tmp_path: Path) -> None:
    text = end.join(["a,b", '"one', 'two","say ""hi"""', "", "x,y"])
    assert read(tmp_path, text, "rows.csv") == [
        (2, {"a": f"one{end}two", "b": 'say "hi"'}),
        (5, {"a": "x", "b": "y"}),
    ]


def test_a_row_with_too_many_or_too_few_cells_is_a_bad_row(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2,3\n1\n1,2\n", "rows.csv") == [
        (2, "wrong_number_of_columns"),
        (3, "wrong_number_of_columns"),
        (4, {"a": "1", "b": "2"}),
    ]


def test_a_row_of_empty_cells_is_a_row(tmp_path: Path) -> None:
    # It is no blank line: somebody's spreadsheet has a row there, and it must be counted.
    assert read(tmp_path, "a,b\n,\n1,2\n", "rows.csv") == [(2, {"a": "", "b": ""}), (3, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a\n1,2,3\n", 'column "a" stands twice in its header'),
        ('a,b\n1,2\n"open,3\n', "in the row that starts at line 3"),
        ('a,b\n1,2\n1,"x"y\n', "in the row that starts at line 3"),
        ('"a,b\n', "in the row that starts at line 1"),
    ],
)
def test_a_csv_that_would_be_misread_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, "rows.csv")
    assert said in caught.value.message


# Parquet


def test_parquet_rows_are_read_with_their_number(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [*ROWS, {"instruction": None, "input": None, "output": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=2)
    assert list(read_rows(tmp_path / "rows.parquet")) == [
        SourceRow(number, row) for number, row in enumerate(rows, start=1)
    ]


def test_nested_parquet_columns_are_read_as_lists_of_objects(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert [row.value for row in read_rows(tmp_path / "rows.parquet") if isinstance(row, SourceRow)] == rows


@pytest.mark.parametrize("content", [b"PAR1 but no more", b"PAR1" + b"\x00" * 100 + b"PAR1", b"not at all"])
def test_what_is_no_whole_parquet_file_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no whole Parquet file"):
        read(tmp_path, content, "rows.parquet")


# Files that cannot be read as a whole


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "rows.json", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n",
            "rows.json",
            "git-lfs pointer",
        ),
        ('[{"a": 1}]'.encode("utf-16"), "rows.json", "UTF-16"),
        (b"hello", "rows.txt", 'files of kind ".txt" are not read'),
        (b"hello", "rows", 'files of kind "" are not read'),
        (b'[\n{"a": "caf\xe9"}]', "rows.json", "byte 12 (line 2) is not UTF-8"),
        (b"a,b\n1,2\n1,\xff\n", "rows.csv", "byte 10 (line 3) is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, name)
    assert said in caught.value.message
    assert str(tmp_path / name) in caught.value.message


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data.json").write_text("[]")
    with pytest.raises(DataError, match=r'did you mean "alpaca_data\.json"'):
        read_rows(tmp_path / "alpaca_dat.json")
    with pytest.raises(DataError, match="does not exist either"):
        read_rows(tmp_path / "nowhere" / "rows.json")


def test_rows_given_in_place_of_a_file_name_are_no_crash() -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_rows(Path(json.dumps(ROWS * 50)))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_rows(tmp_path)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv"])
def test_a_file_of_nothing_but_white_space_has_no_rows(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, "\n \n\n" if name != "rows.csv" else "\n\n", name) == []


def test_bytes_at_random_never_crash_the_reader(tmp_path: Path) -> None:
    import random

    dice = random.Random(0)
    pieces = [
        b'{"a": 1}',
        b"[",
        b"]",
        b",",
        b"\n",
        b"\xff",
        b'"',
        b"NaN",
        b"{",
        b"}",
        b"\\",
        b" ",
        b"\x00",
        b"\xc3",
    ]
    for number in range(400):
        content = b"".join(dice.choices(pieces, k=dice.randrange(1, 30)))
        name = f"{number}{dice.choice(['.json', '.jsonl', '.csv'])}"
        (tmp_path / name).write_bytes(content)
        try:
            rows = list(read_rows(tmp_path / name))
        except DataError:
            continue
        assert all(isinstance(row, SourceRow | BadRow) for row in rows)
