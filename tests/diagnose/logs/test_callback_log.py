"""What LorascopeCallback wrote, with and without a plan."""

import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.callback_log import plan_line
from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import NothingLogged


def plan(max_steps: int, epochs: float | None = 2) -> dict[str, Any]:
    return {"max_steps": max_steps, "num_train_epochs": epochs}


def test_the_line_that_is_written_is_the_line_that_is_read(tmp_path: Path) -> None:
    assert plan_line(20, 2) == plan(20)
    run = open_log(write(tmp_path / "lorascope.jsonl", plan_line(20, None), step(1)))
    assert (run.facts.max_steps, run.facts.num_epochs) == (20, None)


def step(number: int) -> dict[str, Any]:
    return {
        "step": number,
        "epoch": number / 10,
        "loss": 2.0 - number / 100,
        "target_tokens": 100,
        "learning_rate": 1e-4,
        "grad_norm": 1.0,
        "seconds": 0.5,
    }


def evaluation(number: int) -> dict[str, Any]:
    return {"step": number, "epoch": number / 10, "eval_loss": 1.9, "eval_runtime": 3.0}


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def state_of(path: Path) -> str:
    return log_evidence(open_log(path), str(path)).state


def test_the_plan_says_how_far_the_training_is_to_go_and_is_no_point(tmp_path: Path) -> None:
    path = tmp_path / "lorascope.jsonl"
    steps = [step(number) for number in range(1, 20)]
    run = open_log(write(path, plan(20), *steps, evaluation(10)))
    assert run.format == "lorascope.jsonl of LorascopeCallback" and run.problems == ()
    assert (run.facts.max_steps, run.facts.num_epochs) == (20, 2)
    assert run.train.step.tolist() == list(range(1, 20)) and run.evals.loss.tolist() == [1.9]
    assert state_of(path) == "unfinished"
    write(path, plan(20), *steps, evaluation(10), step(20))
    assert state_of(path) == "finished"
    assert open_log(tmp_path).facts.max_steps == 20  # the folder that it lies in


def test_of_the_plans_of_a_training_that_was_resumed_or_ended_early_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "lorascope.jsonl"
    write(path, plan(4), step(1), step(2), plan(40, None), step(2), step(3), step(4))
    assert state_of(path) == "unfinished" and open_log(path).facts.num_epochs is None
    write(path, plan(4), step(1), step(2), plan(2, 0.2))
    assert state_of(path) == "finished"


def test_a_log_with_nothing_but_the_plan_holds_nothing_yet(tmp_path: Path) -> None:
    path = write(tmp_path / "lorascope.jsonl", plan(20))
    for given in (path, tmp_path):
        with pytest.raises(NothingLogged):
            open_log(given)


def test_a_log_from_before_there_was_a_plan_is_read_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "lorascope.jsonl", step(1), step(2), evaluation(2))
    run = open_log(path)
    assert len(run.train) == 2 and run.facts.max_steps is None and state_of(path) == "unknown"
