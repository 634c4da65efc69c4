"""Empty losses in tables: told where one was to be expected, and nowhere else."""

import csv
import json
from pathlib import Path

import pytest

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.open_log import open_log

Cell = float | int | str


def read(tmp_path: Path, header: str, *rows: list[Cell]) -> LoggedRun:
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return open_log(path)


def empties(run: LoggedRun) -> list[str]:
    """Which losses are told to be empty, how often, and where; without what it means."""
    return [one.split(":")[0] for one in run.problems if " is empty in " in one]


def test_cells_without_a_loss_in_a_table_of_training_are_told(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[step, "" if step in (4, 5, 9) else 2.5, 0.1] for step in range(1, 12)]
    run = read(tmp_path, "step,loss,lr", *rows)
    assert run.train.step.tolist() == [1, 2, 3, 6, 7, 8, 10, 11]
    assert empties(run) == [
        '"loss" is empty in 3 of 11 entries where one was to be expected, the first of them entry 4 and the '
        "last entry 9"
    ]


def test_a_loss_that_is_lost_with_its_gradient_norm_is_told(tmp_path: Path) -> None:
    # What pandas writes of a training that diverges: NaN for both, and so two empty cells.
    rows: list[list[Cell]] = [
        [step, 2.5, 0.5, 0.1] if step < 8 else [step, "", "", 0.1] for step in range(1, 11)
    ]
    assert "3 of 10 entries" in empties(read(tmp_path, "step,loss,grad_norm,lr", *rows))[0]  # 8, 9 and 10


def test_cells_without_an_evaluation_loss_beside_losses_are_told(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[epoch, 2.0, "" if epoch in (4, 7) else 2.5] for epoch in range(1, 12)]
    run = read(tmp_path, "epoch,loss,val_loss", *rows)
    assert len(run.train) == 11 and len(run.evals) == 9
    assert empties(run)[0].startswith('"val_loss" is empty in 2 of 11 entries')


@pytest.mark.parametrize("ends", [0, 11])
def test_a_table_may_begin_with_an_evaluation_alone_and_end_without_one(tmp_path: Path, ends: int) -> None:
    without = "loss" if ends == 0 else "val_loss"
    rows: list[list[Cell]] = [
        [
            step,
            "" if (step, without) == (ends, "loss") else 2.0,
            "" if (step, without) == (ends, "val_loss") else 2.5,
        ]
        for step in range(12)
    ]
    assert read(tmp_path, "step,loss,val_loss", *rows).problems == ()


def test_the_trainer_s_history_as_a_table_lacks_no_loss(tmp_path: Path) -> None:
    rows: list[list[Cell]] = []
    for step in range(1, 13):
        rows.append([step, 2.0, 0.1, "", ""])
        if step % 4 == 0:
            rows.append([step, "", "", 2.5, 1.0])
    run = read(tmp_path, "step,loss,learning_rate,eval_loss,eval_runtime", *rows)
    assert (len(run.train), len(run.evals), run.problems) == (12, 3, ())
    # The same with no other column to tell rows of evaluations by.
    run = read(tmp_path, "step,loss,eval_loss", *([row[0], row[1], row[3]] for row in rows))
    assert (len(run.train), len(run.evals), run.problems) == (12, 3, ())


def test_losses_logged_at_every_third_step_lack_none_in_between(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [[step, "" if step % 3 else 2.0, 0.1] for step in range(1, 31)]
    assert read(tmp_path, "step,loss,lr", *rows).problems == ()
    rows = [[step, 2.0, "" if step % 3 else 2.5] for step in range(1, 31)]
    assert read(tmp_path, "step,loss,val_loss", *rows).problems == ()


def test_losses_logged_at_every_third_step_are_missed_where_they_end(tmp_path: Path) -> None:
    # The last loss is that of step 15; a gap of two rows is the usual one, and 15 rows follow.
    rows: list[list[Cell]] = [[step, "" if step % 3 or step > 15 else 2.0, 0.1] for step in range(1, 31)]
    assert empties(read(tmp_path, "step,loss,lr", *rows))[0].startswith('"loss" is empty in 15 of 30 entries')


def test_rows_about_the_machine_or_another_run_lack_no_loss(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [
        [step, "", "", 17.5] if step % 2 else [step, 2.0, 0.1, ""] for step in range(12)
    ]
    rows.insert(3, [2, "", "", 18.0])
    assert read(tmp_path, "_step,train/loss,train/lr,gpu", *rows).problems == ()
    rows = [[step, "", 2.0] if step % 2 or step > 8 else [step, 3.0, ""] for step in range(12)]
    run = read(tmp_path, "Step,b - train/loss,a - train/loss", *rows)
    assert (
        run.train.step.tolist() == [1, 3, 5, 7, 9, 10, 11] and len(run.problems) == 1
    )  # that there are two runs


def test_of_a_table_with_a_column_for_the_split_each_loss_is_missed_in_its_own_rows(tmp_path: Path) -> None:
    rows: list[list[Cell]] = []
    for step in range(1, 9):
        rows.append(["train", step, "" if step == 3 else 2.0])
        rows.append(["val", step, "" if step == 5 else 2.5])
    told = empties(read(tmp_path, "split,step,loss", *rows))
    assert [one.split(",")[0] for one in told] == [  # the rows of training are 1, 3, 5, ...
        '"loss" is empty in 1 of 16 entries where one was to be expected',
        '"eval_loss" is empty in 1 of 16 entries where one was to be expected',
    ]
    assert "the first of them entry 5 " in told[0] and "the first of them entry 10 " in told[1]


def test_a_null_beside_other_things_that_every_line_logs_is_told(tmp_path: Path) -> None:
    lines = [{"step": step, "seconds": 0.5, "loss": None if step == 4 else 2.0} for step in range(1, 9)]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert empties(open_log(path))[0].startswith('"loss" is empty in 1 of 8 entries')


def test_a_line_without_the_loss_s_name_lacks_none(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 2.5}\n{"step": 2}\n{"step": 3, "loss": 2.25}\n')
    assert open_log(path).problems == ()
