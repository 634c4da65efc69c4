"""Lines end where lines of files end."""

import json
from pathlib import Path

import pytest

from lorascope.diagnose.logs.lines import lines_of
from lorascope.diagnose.logs.open_log import open_log

NO_LINE_ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
"""At which str.splitlines cuts, and at which no file ends a line."""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\rc\n\n", ["a", "b", "c", ""]),
        (f"a{NO_LINE_ENDS}b\nc\n", [f"a{NO_LINE_ENDS}b", "c"]),
    ],
)
def test_lines_end_at_newlines_and_carriage_returns_only(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_a_line_of_json_with_a_line_separator_in_a_text_is_one_line(tmp_path: Path) -> None:
    # JSON escapes control characters; the three others stand in a string as they are.
    lines = [{"step": step, "loss": 2.5, "answer": f"a{NO_LINE_ENDS}b"} for step in (1, 2, 3)]
    path = tmp_path / "log.jsonl"
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    assert "\u2028" in text and "\u0085" in text
    path.write_text(text, encoding="utf-8")
    run = open_log(path)
    assert run.train.step.tolist() == [1, 2, 3] and run.problems == ()


def test_a_row_of_a_table_with_a_line_separator_in_a_text_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"step,loss,answer\n1,2.5,a{NO_LINE_ENDS}b\n2,2.25,c\n", encoding="utf-8")
    run = open_log(path)
    assert run.train.step.tolist() == [1, 2] and run.problems == ()
