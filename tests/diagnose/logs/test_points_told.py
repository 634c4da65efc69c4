"""What is told about the losses of a log that are empty or not finite."""

import math
from pathlib import Path
from typing import Any

import pytest

from lorascope.diagnose.logs.numbers import as_number
from lorascope.diagnose.logs.points import logged_run
from lorascope.errors import RunError


def problems_of(entries: list[dict[str, Any]]) -> str:
    return " ".join(logged_run(entries, path=Path("log.jsonl"), form="JSONL").problems)


def test_losses_that_are_null_where_nothing_else_was_measured_are_told() -> None:
    entries = [{"step": step, "loss": 2.0 if step < 6 else None, "learning_rate": 1e-4} for step in range(10)]
    told = problems_of(entries)
    assert '"loss" is empty in 4 of 10 entries where one was to be expected' in told
    assert "the first of them entry 7 and the last entry 10" in told


def test_a_wide_table_whose_rows_measure_one_thing_each_has_no_empty_loss() -> None:
    entries: list[dict[str, Any]] = [
        {"step": 1, "loss": 2.0, "eval_loss": None, "memory": None},
        {"step": 2, "loss": None, "eval_loss": 1.9, "memory": None},
        {"step": 3, "loss": None, "eval_loss": None, "memory": 17.5},
    ]
    assert "empty" not in problems_of(entries)


def test_true_and_false_are_no_losses_and_told() -> None:
    entries: list[dict[str, Any]] = [
        {"step": 1, "loss": True},
        {"step": 2, "loss": 2.0},
        {"step": 3, "loss": False},
    ]
    run = logged_run(entries, path=Path("log.jsonl"), form="JSONL")
    assert run.train.step.tolist() == [2] and run.train.loss.tolist() == [2.0]
    assert run.problems == ("2 values of \"loss\" are no numbers and count as absent; the first is 'True'",)


def test_lists_of_one_length_are_no_losses() -> None:
    entries: list[dict[str, Any]] = [{"step": 1, "loss": [2.5]}, {"step": 2, "loss": [2.0]}]
    with pytest.raises(RunError, match='no value of "loss" is a number'):
        logged_run(entries, path=Path("log.jsonl"), form="JSONL")


def test_one_infinite_loss_below_0_makes_no_log_of_negative_losses() -> None:
    entries = [{"step": step, "loss": -math.inf if step == 5 else 2.0} for step in range(40)]
    run = logged_run(entries, path=Path("log.jsonl"), form="JSONL")
    assert not run.is_negative and run.train.loss_not_finite.tolist() == [step == 5 for step in range(40)]


@pytest.mark.parametrize("text", ["-nan(ind)", "nan(snan)", "1.#QNAN", "-1.#IND00", "NaN"])
def test_what_windows_prints_for_no_number_is_not_a_number(text: str) -> None:
    assert math.isnan(as_number(text) or 0.0)
