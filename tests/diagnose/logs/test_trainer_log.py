"""trainer_log.jsonl of LLaMA-Factory, in both of its spellings."""

from pathlib import Path

import pytest

from lorascope.diagnose.logs.open_log import open_log

NEW = """{"current_steps": 5, "total_steps": 15, "loss": 2.5, "lr": 0.0001, "epoch": 0.5, "percentage": 33.33}
{"current_steps": 10, "total_steps": 15, "loss": 2.0, "lr": 5e-05, "epoch": 1.0, "percentage": 66.67}
{"current_steps": 10, "total_steps": 15, "eval_loss": 2.25, "epoch": 1.0, "percentage": 66.67}
{"current_steps": 15, "total_steps": 15, "epoch": 1.5, "percentage": 100.0, "elapsed_time": "0:00:09"}
"""
OLD = """{"current_steps": 5, "total_steps": 15, "loss": 2.5, "reward": null, "learning_rate": 0.0001}
{"current_steps": 10, "total_steps": 15, "loss": 2.0, "reward": null, "learning_rate": 5e-05}
"""


@pytest.mark.parametrize("text", [NEW, OLD], ids=["lr", "learning_rate and a reward that is null"])
def test_both_spellings_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "trainer_log.jsonl").write_text(text)
    run = open_log(tmp_path)
    assert run.format == "trainer_log.jsonl of LLaMA-Factory" and not run.is_rl
    assert run.train.step.tolist() == [5, 10] and run.train.loss.tolist() == [2.5, 2.0]
    assert run.train.learning_rate.tolist() == [1e-4, 5e-5]
    assert run.facts.max_steps == 15


def test_its_evaluations_are_read_and_its_closing_line_is_no_point(tmp_path: Path) -> None:
    path = tmp_path / "anything.txt"
    path.write_text(NEW)
    run = open_log(path)
    assert (run.evals.step.tolist(), run.evals.loss.tolist()) == ([10], [2.25])
    assert run.num_points == 3


def test_a_last_line_that_is_cut_is_passed_over_and_told(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(NEW[:150])
    run = open_log(path)
    assert run.train.step.tolist() == [5]
    assert "the last line is cut" in run.problems[0]


def test_a_file_of_a_single_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text(NEW.splitlines()[0])
    run = open_log(path)
    assert run.format == "trainer_log.jsonl of LLaMA-Factory"
    assert run.train.loss.tolist() == [2.5]
