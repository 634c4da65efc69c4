"""Lines that are all alike are cut at their commas; whatever is not, is read as the JSON that it is."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lorascope.diagnose.logs import step_columns
from lorascope.diagnose.logs.step_columns import read_columns
from lorascope.diagnose.logs.step_log import _COLUMNS, read_step_log, step_points
from lorascope.run.records import StepRecord, read_steps, rewrite_lines


def record(step: int, loss: float | None = 2.25, why: str | None = None) -> StepRecord:
    return StepRecord(
        step=step,
        epoch=step / 7,
        loss=loss,
        target_tokens=100 + step,
        num_examples=4,
        learning_rate=1e-4 / step,
        grad_norm=0.5,
        seconds=0.1,
        why=why,
    )


def written(folder: Path, num: int = 60) -> tuple[Path, list[str]]:
    path = folder / "steps.jsonl"
    rewrite_lines(path, [record(step) for step in range(1, num + 1)])
    return path, path.read_text().splitlines()


def test_the_lines_of_a_training_are_read_without_parsing_json(tmp_path: Path) -> None:
    path, lines = written(tmp_path)
    found = step_columns._of_lines_alike(path.read_bytes(), _COLUMNS)
    assert found is not None
    wanted = [[float(json.loads(line)[name]) for line in lines] for name in _COLUMNS]
    np.testing.assert_array_equal(found, np.array(wanted))  # to the last bit


def test_a_number_as_the_last_name_is_read_too() -> None:
    data = b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 0.25}\n'
    found = step_columns._of_lines_alike(data, ("loss",))
    assert found is not None and found.tolist() == [[2.5, 0.25]]


@pytest.mark.parametrize(
    "other",
    [
        '{"epoch": 9.0, "step": 31, "loss": 1.0, "target_tokens": 5, "num_examples": 4, "learning_rate": 1, '
        '"grad_norm": 1, "seconds": 1, "why": null}',  # the names in another order
        '{"step": 31, "loss": null, "why": "a, b: {c}"}',
        '{"step": 31, "loss": 1.0}',
        '{"step":31,"epoch":1,"loss":1.0,"target_tokens":5,"learning_rate":1,"grad_norm":null}',
    ],
)
def test_a_line_that_is_made_otherwise_is_read_as_json(tmp_path: Path, other: str) -> None:
    path, lines = written(tmp_path)
    lines[30] = other
    path.write_text("\n".join(lines) + "\n")
    values = [json.loads(line) for line in lines]
    wanted = np.array([[one.get(name) for one in values] for name in _COLUMNS], dtype=np.float64)
    assert step_columns._of_lines_alike(path.read_bytes(), _COLUMNS) is None
    np.testing.assert_array_equal(read_columns(path, _COLUMNS), wanted)


@pytest.mark.parametrize(("whole", "torn"), [("epo", ""), ("}", ""), ("}", "}}"), ("0.5", "0.5x")])
def test_a_damaged_line_is_never_read_as_numbers(tmp_path: Path, whole: str, torn: str) -> None:
    path, lines = written(tmp_path)
    lines[30] = lines[30].replace(whole, torn) if torn or whole == "}" else lines[30].split(whole)[0]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(pa.ArrowInvalid):
        read_columns(path, _COLUMNS)
    assert read_step_log(path).step.tolist() == [*range(1, 31), *range(32, 61)]


def test_blocks_are_cut_between_lines_and_judged_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = written(tmp_path)
    rewrite_lines(path, [record(step, *((None, "a, b") if step == 17 else (2.0,))) for step in range(1, 61)])
    for size in (1, 100, 1000, 5000):
        monkeypatch.setattr(step_columns, "_BLOCK_BYTES", size)
        found = read_step_log(path)
        assert found.step.tolist() == list(range(1, 61))
        assert np.flatnonzero(found.loss_not_finite).tolist() == [16]
        np.testing.assert_array_equal(found.loss, step_points(read_steps(path)).loss)


def test_a_log_is_read_beside_the_main_thread_in_which_arrow_would_take_signals_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its CSV reader ends with ArrowCancelled at a SIGTERM where it runs in the main thread: a training that
    # was asked to stop while it was judged ended with that error.
    path, _ = written(tmp_path)
    threads: list[threading.Thread] = []
    cut = step_columns._cells

    def seen(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return cut(*given)

    monkeypatch.setattr(step_columns, "_cells", seen)
    read_columns(path, _COLUMNS)
    assert len(threads) == 1 and threads[0] is not threading.main_thread()
