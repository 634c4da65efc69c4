import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import open_source
from lorascope.prepare.read import rows as limits

Read = Callable[..., list[tuple[int, Any]]]


SEPARATED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("delimiter", SEPARATED)
def test_columns_are_found_whatever_separates_them(
    delimiter: str, name: str, read: Read, tmp_path: Path
) -> None:
    rows = [["instruction", "input", "output"], ["Say, a;b|c.", "", "two\nlines"], ["x", "y", "z"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    found = read(text.getvalue(), name)
    assert found == [(2, dict(zip(rows[0], rows[1], strict=True))), (4, dict(zip(*rows[::2], strict=True)))]
    usual = "," if name == "rows.csv" else "\t"
    said = f"the columns of {name} are separated by {SEPARATED[delimiter]}, and read so"
    assert open_source(tmp_path / name).notes == (() if delimiter == usual else (said,))


def test_a_header_that_its_kind_can_read_is_read_by_its_kind(read: Read) -> None:
    # More bars than commas, and a comma all the same.
    found = read("instruction,output (a|b|c|d)\nx|y,z\n", "rows.csv")
    assert found == [(2, {"instruction": "x|y", "output (a|b|c|d)": "z"})]


def test_a_single_column_stays_one(read: Read, tmp_path: Path) -> None:
    assert read("text\na;b\n", "rows.csv") == [(2, {"text": "a;b"})]
    assert open_source(tmp_path / "rows.csv").notes == ()


@pytest.mark.parametrize(("name", "mark"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_cells_are_read_by_the_header(name: str, mark: str, read: Read) -> None:
    text = f" instruction {mark}output\na{mark}b\nc{mark}\n"
    assert read(text, name) == [
        (2, {"instruction": "a", "output": "b"}),
        (3, {"instruction": "c", "output": ""}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quoted_cell_keeps_its_newlines_and_the_next_row_its_line(end: str, read: Read) -> None:
    text = end.join(["a,b", '"one', 'two","say ""hi"""', "", "x,y"])
    assert read(text, "rows.csv") == [
        (2, {"a": f"one{end}two", "b": 'say "hi"'}),
        (5, {"a": "x", "b": "y"}),
    ]


def test_a_row_with_too_many_or_too_few_cells_is_a_bad_row(read: Read) -> None:
    assert read("a,b\n1,2,3\n1\n1,2\n", "rows.csv") == [
        (2, "wrong_number_of_columns"),
        (3, "wrong_number_of_columns"),
        (4, {"a": "1", "b": "2"}),
    ]


def test_a_row_of_empty_cells_is_a_row(read: Read) -> None:
    # It is no blank line: somebody's spreadsheet has a row there, and it must be counted.
    assert read("a,b\n,\n1,2\n", "rows.csv") == [(2, {"a": "", "b": ""}), (3, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a\n1,2,3\n", 'column "a" stands twice in its header'),
        ('a,b\n1,2\n"open,3\n', "in the row that starts at line 3"),
        ('a,b\n1,2\n1,"x"y\n', "in the row that starts at line 3"),
        ('"a,b\n', "in the row that starts at line 1"),
    ],
)
def test_a_csv_that_would_be_misread_is_refused_with_its_line(text: str, said: str, read: Read) -> None:
    with pytest.raises(DataError) as caught:
        read(text, "rows.csv")
    assert said in caught.value.message


def test_a_header_that_stands_again_is_a_bad_row(read: Read) -> None:
    # As in files that were put together; as a row it would teach "instruction" -> "output".
    assert read("instruction,output\na,b\ninstruction,output\nc,d\n", "rows.csv") == [
        (2, {"instruction": "a", "output": "b"}),
        (3, "repeated_header"),
        (4, {"instruction": "c", "output": "d"}),
    ]


def test_blank_lines_before_the_header_are_passed_over(read: Read) -> None:
    assert read("\n\na,b\n1,2\n", "rows.csv") == [(4, {"a": "1", "b": "2"})]


def test_the_line_that_tells_excel_the_separator_is_obeyed(read: Read, tmp_path: Path) -> None:
    assert read("sep=;\r\ninstruction;output\r\na;b,c\r\n", "rows.csv") == [
        (3, {"instruction": "a", "output": "b,c"})
    ]
    assert open_source(tmp_path / "rows.csv").notes == (
        "the columns of rows.csv are separated by semicolons, and read so",
    )


def test_a_file_without_header_is_read_from_its_first_row(read: Read, tmp_path: Path) -> None:
    text = "Say one.,1\nSay two.,2\nSay three.,3\n"
    assert read(text, "rows.csv") == [
        (line, {"column_1": f"Say {word}.", "column_2": str(line)})
        for line, word in enumerate(["one", "two", "three"], start=1)
    ]
    assert open_source(tmp_path / "rows.csv").notes == (
        "rows.csv has no header: its first row is data, and its columns are called column_1, column_2",
    )


def test_whether_there_is_a_header_can_be_said(read: Read) -> None:
    assert read("a,b\nc,d\n", "rows.csv", header=False) == [
        (1, {"column_1": "a", "column_2": "b"}),
        (2, {"column_1": "c", "column_2": "d"}),
    ]
    assert read("1,2\n3,4\n5,6\n", "rows.csv", header=True) == [
        (2, {"1": "3", "2": "4"}),
        (3, {"1": "5", "2": "6"}),
    ]


def test_columns_without_a_name_are_kept(read: Read) -> None:
    assert read(",q,a,\n0,x,y,\n", "rows.csv") == [(2, {"": "0", "q": "x", "a": "y", "column_4": ""})]


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ROW_BYTES", 1000)
    text = "a,b\n" + "1,2\n" * 300 + '3,"x\n' + "4,5\n" * 1000
    with pytest.raises(DataError, match="in the row that starts at line 302"):
        read(text, "rows.csv")


def test_a_table_is_described_by_its_kind(write: Callable[..., Path]) -> None:
    assert open_source(write("a,b\n1,2\n", "rows.csv")).described == "CSV"
    assert open_source(write("a\tb\n1\t2\n", "rows.tsv")).described == "TSV"
