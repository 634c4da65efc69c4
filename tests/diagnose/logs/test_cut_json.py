"""Tables in JSON that end in the middle, as a killed process leaves them."""

import json
from pathlib import Path

import pytest

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import NothingLogged

ROWS = [{"step": step, "loss": 3 - step / 4, "text": "a } and a ]"} for step in range(1, 8)]
TOLD = "the file is damaged or ends in the middle: {} read"


def read(tmp_path: Path, text: str, columns: dict[str, str] | None = None) -> LoggedRun:
    path = tmp_path / "log.json"
    path.write_text(text)
    return open_log(path, columns)


def written(form: str) -> str:
    lines = ",\n".join(map(json.dumps, ROWS))
    return {
        "compact": json.dumps(ROWS, separators=(",", ":")),
        "spread": json.dumps(ROWS, indent=2),
        "lines": f"[\n{lines}\n]",
        "nested": json.dumps({"config": {"layers": [{"width": 8}]}, "history": ROWS}),
        "nested spread": json.dumps({"seed": 1, "results": {"history": ROWS}}, indent=1),
    }[form]


@pytest.mark.parametrize("form", ["compact", "spread", "lines", "nested", "nested spread"])
@pytest.mark.parametrize("cut_behind", ["step", "loss", "text", "a }"])
def test_the_whole_entries_of_a_cut_table_are_read_and_counted(
    tmp_path: Path, form: str, cut_behind: str
) -> None:
    text = written(form)
    told = {1: "1 whole entry was", 2: "2 whole entries were", 6: "6 whole entries were"}
    for num_whole in told:  # the entry behind them is the one that is cut
        at = -1
        for _ in range(num_whole + 1):
            at = text.index(cut_behind, at + 1)
        run = read(tmp_path, text[: at + len(cut_behind)])
        assert run.format == "JSON" and run.problems == (TOLD.format(told[num_whole]),)
        assert run.train.step.tolist() == list(range(1, num_whole + 1))
        assert run.train.loss.tolist() == [3 - step / 4 for step in range(1, num_whole + 1)]


@pytest.mark.parametrize("form", ["compact", "spread", "lines"])
def test_a_table_that_lacks_its_last_bracket_has_all_of_its_entries(tmp_path: Path, form: str) -> None:
    run = read(tmp_path, written(form).rstrip("]\n"))
    assert run.train.step.tolist() == [1, 2, 3, 4, 5, 6, 7] and run.problems == (
        TOLD.format("7 whole entries were"),
    )


def test_an_array_that_ends_before_its_first_entry_does_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(NothingLogged, match="ends before its first logged entry"):
        read(tmp_path, '[{"step": 1, "lo')


def test_a_cut_table_may_hold_what_no_json_does_and_have_its_columns_given(tmp_path: Path) -> None:
    text = '[{"n": 1, "objective": nan}, {"n": 2, "objective": 2.5}, {"n": 3, "obj'
    run = read(tmp_path, text, {"loss": "objective", "step": "n"})
    assert run.train.step.tolist() == [1, 2] and run.train.loss_not_finite.tolist() == [True, False]


def test_a_torn_last_line_of_json_lines_is_no_cut_table(tmp_path: Path) -> None:
    run = read(tmp_path, '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25, "tags": [{"a": 1}, {"b')
    assert run.format == "JSONL" and run.train.step.tolist() == [1] and "last line is cut" in run.problems[0]
