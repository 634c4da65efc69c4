import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.logs.step_log import read_step_log, step_points
from lorascope.errors import RunError
from lorascope.run.records import StepRecord, append_line, read_steps, rewrite_lines


def record(step: int, loss: float | None = 2.0) -> StepRecord:
    return StepRecord(
        step=step,
        epoch=step / 10,
        loss=loss,
        target_tokens=100,
        num_examples=4,
        learning_rate=1e-4,
        grad_norm=None if step == 3 else 0.5,
        seconds=0.1,
    )


def assert_same(found: object, wanted: object) -> None:
    for column in dataclasses.fields(wanted):  # type: ignore[arg-type]
        np.testing.assert_array_equal(getattr(found, column.name), getattr(wanted, column.name), column.name)


@pytest.mark.parametrize("num", [7, 700])  # read line by line, and by Arrow
def test_columns_are_those_of_the_records(num: int, tmp_path: Path) -> None:
    path, records = tmp_path / "steps.jsonl", [record(step) for step in range(1, num + 1)]
    rewrite_lines(path, records)
    found = read_step_log(path)
    assert_same(found, step_points(read_steps(path)))
    assert found.step.tolist() == list(range(1, num + 1)) and found.num_tokens[-1] == 100 * num
    assert np.flatnonzero(found.grad_norm_not_finite).tolist() == [2]  # step 3


def test_a_step_that_was_done_again_counts_once_with_its_later_line(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    rewrite_lines(path, [record(1), record(2, 5.0), record(2, 3.0), record(3)])
    found = read_step_log(path)
    assert found.step.tolist() == [1, 2, 3] and found.loss.tolist() == [2.0, 3.0, 2.0]


def test_a_torn_line_is_passed_over_at_the_end_and_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    rewrite_lines(path, [record(1), record(2)])
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_step_log(path).step.tolist() == [1, 2]
    append_line(path, record(3))  # a resumed training goes on behind the torn line
    assert read_step_log(path).step.tolist() == [1, 2, 3]


def test_a_step_without_a_loss_is_flagged(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    rewrite_lines(path, [record(1), record(2, None)])
    assert read_step_log(path).loss_not_finite.tolist() == [False, True]


def test_an_empty_or_missing_log_has_no_points(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    assert len(read_step_log(path)) == 0
    path.touch()
    assert len(read_step_log(path)) == 0


def test_a_foreign_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"loss": 1.0}\n')
    with pytest.raises(RunError, match="did not write"):
        read_step_log(path)
