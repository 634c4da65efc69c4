"""Folders of event files."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.logs import event_file
from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import RunError

FILE = Path(__file__).parent / "written" / "events.out.tfevents.1795316154.writer"


def field(number: int, kind: int, data: bytes) -> bytes:
    return bytes([number << 3 | kind]) + (bytes([len(data)]) if kind == 2 else b"") + data


def write_scalars(path: Path, *scalars: tuple[str, int, float]) -> None:
    """Write an event file in which each number and length is below 128, and so a byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b""
    for tag, step, value in scalars:
        told = field(1, 2, tag.encode()) + field(2, 5, struct.pack("<f", value))
        event = field(2, 0, bytes([step])) + field(5, 2, field(1, 2, told))
        length = struct.pack("<Q", len(event))
        data += length + struct.pack("<I", event_file._masked_crc(length)) + event + bytes(4)
    path.write_bytes(data)


def test_curves_metrics_and_arguments_are_read() -> None:
    run = open_log(FILE)
    assert run.train.step.tolist() == [10, 20, 30] and run.train.epoch.tolist() == [1, 2, 3]
    assert run.train.loss[:2].tolist() == [2.5, 1.25] and run.train.loss_not_finite.tolist() == [
        False,
        False,
        True,
    ]
    assert run.train.grad_norm.tolist() == [0.5, 1.0, 1.5]
    assert run.evals.step.tolist() == [10, 30] and run.evals.loss.tolist() == [1.5, 1.5]
    assert set(run.evals.metrics) == {"accuracy"}  # its runtime measures the machine
    assert run.columns["loss"] == "train/loss"
    facts = run.facts
    assert (facts.max_steps, facts.num_epochs, facts.logging_steps, facts.eval_steps) == (30, 3, 10, 15)
    assert facts.save_steps is None  # save_strategy "no" makes the 500 beside it mean nothing


def test_files_of_one_folder_are_one_run_in_the_order_they_were_begun(tmp_path: Path) -> None:
    write_scalars(tmp_path / "events.out.tfevents.20.b", ("train/loss", 2, 1.0))
    write_scalars(tmp_path / "events.out.tfevents.3.a", ("train/loss", 1, 2.0))
    run = open_log(tmp_path)
    assert run.train.loss.tolist() == [2.0, 1.0]
    assert "2 event files were read as one run" in run.problems


def test_of_several_runs_the_newest_that_has_a_loss_is_read(tmp_path: Path) -> None:
    write_scalars(tmp_path / "old" / "events.out.tfevents.1.a", ("train/loss", 1, 2.0))
    write_scalars(tmp_path / "new" / "events.out.tfevents.2.a", ("train/loss", 1, 3.0))
    write_scalars(tmp_path / "none" / "events.out.tfevents.3.a", ("hparam", 1, 0.0))
    run = open_log(tmp_path)
    assert run.path == tmp_path / "new" and run.train.loss.tolist() == [3.0]
    assert "holds 2 runs" in run.problems[0] and "not old" in run.problems[0]


def test_the_halves_that_keras_writes_are_one_run(tmp_path: Path) -> None:
    write_scalars(
        tmp_path / "train" / "events.out.tfevents.1.a", ("epoch_loss", 0, 2.0), ("epoch_loss", 1, 1.5)
    )
    write_scalars(tmp_path / "validation" / "events.out.tfevents.2.a", ("epoch_loss", 0, 3.0))
    run = open_log(tmp_path)
    assert run.train.loss.tolist() == [2.0, 1.5] and run.evals.loss.tolist() == [3.0]


def test_a_file_that_is_still_written_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / FILE.name
    path.write_bytes(FILE.read_bytes()[:2000])
    run = open_log(path)
    assert len(run.train) >= 1 and "damaged or still being written" in run.problems[0]


def test_an_event_file_without_a_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE.name
    first = struct.unpack_from("<Q", FILE.read_bytes())[0] + 16
    path.write_bytes(FILE.read_bytes()[:first])  # the record that every file begins with: its version
    with pytest.raises(RunError, match="the event file holds no value"):
        open_log(path)


def test_a_transformers_folder_is_read_from_its_state_which_says_more(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copy(FILE, tmp_path / "runs")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"loss": 9.0, "step": 1}]}')
    assert np.array_equal(open_log(tmp_path).train.loss, [9.0])
