"""Tables: exports of W&B, MLflow, TensorBoard and Keras, and what people write with the csv module."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import ConfigError, RunError


def write_csv(path: Path, *rows: list[object], **how: object) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, **how).writerows(rows)
    return path


def write_lines(path: Path, *entries: dict) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_a_row_may_be_a_training_point_and_an_evaluation(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", ["step", "Training Loss", "Validation Loss"], [10, 2.5, 3], [20, 2, 2.75]
    )
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5, 2] and run.evals.loss.tolist() == [3, 2.75]
    assert run.columns == {"step": "step", "loss": "Training Loss", "eval_loss": "Validation Loss"}


def test_sets_that_are_evaluated_one_after_another_are_one_evaluation(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        {"step": 2, "loss": 1.9},
        {"step": 2, "eval_alpaca_loss": 1.8, "eval_alpaca_accuracy": 0.5},
        {"step": 2, "eval_code_loss": 0.9},
        {"step": 4, "loss": 1.6},
        {"step": 4, "eval_alpaca_loss": 1.7},
        {"step": 4, "eval_code_loss": 0.95},
    )
    evals = open_log(path).evals
    assert (evals.step.tolist(), evals.loss.tolist()) == ([2, 4], [1.8, 1.7])
    assert evals.metrics["code_loss"].tolist() == [0.9, 0.95]
    assert np.array_equal(evals.metrics["alpaca_accuracy"], [0.5, math.nan], equal_nan=True)
    other = open_log(path, {"eval_loss": "eval_code_loss"})
    assert other.evals.loss.tolist() == [0.9, 0.95] and "--column eval_loss=NAME" in " ".join(other.problems)


def test_the_same_loss_twice_at_one_step_stays_two_evaluations(tmp_path: Path) -> None:
    lines = [{"step": 2, "eval_loss": 1.8}, {"step": 2, "eval_loss": math.nan}, {"step": 4, "eval_loss": 1.7}]
    evals = open_log(write_lines(tmp_path / "a.jsonl", *lines)).evals
    assert evals.step.tolist() == [2, 2, 4] and evals.loss_not_finite.tolist() == [False, True, False]


def test_an_empty_cell_is_no_point(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv",
        ["", "step", "loss", "eval_loss"],
        [0, 1, 2.5, ""],
        [1, 1, "", 3],
        [2, 2, "nan", ""],
    )
    run = open_log(path)
    assert run.train.step.tolist() == [1, 2] and run.evals.step.tolist() == [1]
    assert run.train.loss_not_finite.tolist() == [False, True]


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_what_separates_columns_is_told_by_the_header(tmp_path: Path, delimiter: str) -> None:
    path = write_csv(tmp_path / "train.log", ["step", "loss"], [1, 2.5], [2, 2.25], delimiter=delimiter)
    assert open_log(path).train.loss.tolist() == [2.5, 2.25]


def test_a_wandb_export_is_read_by_its_own_column_and_not_by_its_extremes(tmp_path: Path) -> None:
    header = ["train/global_step", "run-7 - _step", "run-7 - train/loss", "run-7 - train/loss__MIN"]
    path = write_csv(tmp_path / "w.csv", header, [10, 3, 2.5, 2.0], [20, 7, 2.25, 2.0])
    run = open_log(path)
    assert run.columns["loss"] == "run-7 - train/loss"
    assert run.train.step.tolist() == [10, 20]  # the optimizer's, not W&B's count of calls


def test_of_runs_side_by_side_one_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    header = ["Step", "b - train/loss", "a - train/loss", "b - eval/loss"]
    path = write_csv(tmp_path / "w.csv", header, [1, 9, 2.5, 8], [2, "", 2.25, ""])
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5, 2.25] and len(run.evals) == 0  # those of b are not mixed in
    assert '"a" was read, not b' in run.problems[0]
    other = open_log(path, columns={"loss": "b - train/loss"})
    assert other.train.loss.tolist() == [9] and other.evals.loss.tolist() == [8]


def test_a_metric_per_row_as_mlflow_exports_it_becomes_a_column_each(tmp_path: Path) -> None:
    header = ["Run", "Run ID", "metric", "step", "timestamp", "value"]
    rows = [["r", "1", "loss", 10, 5, 2.5], ["r", "1", "eval_loss", 10, 6, 3.5], ["r", "1", "loss", 20, 7, 2]]
    run = open_log(write_csv(tmp_path / "m.csv", header, *rows, quoting=csv.QUOTE_ALL))
    assert run.train.loss.tolist() == [2.5, 2] and run.train.step.tolist() == [10, 20]
    assert run.evals.loss.tolist() == [3.5]


@pytest.mark.parametrize(("name", "is_eval"), [("run-train_loss.csv", False), ("run-eval_loss.csv", True)])
def test_the_nameless_column_of_tensorboard_is_taken_by_the_file_s_name(
    tmp_path: Path, name: str, is_eval: bool
) -> None:
    run = open_log(write_csv(tmp_path / name, ["Wall time", "Step", "Value"], [1.0, 10, 2.5], [2.0, 20, 2]))
    assert (run.evals if is_eval else run.train).loss.tolist() == [2.5, 2]
    assert 'called "Value"' in run.problems[0]


def test_the_history_of_keras_is_rows_in_columns(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"loss": [2.5, 2.0], "val_loss": [3.0, 2.5], "val_accuracy": [0.5, 0.75]}))
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5, 2.0] and run.evals.loss.tolist() == [3.0, 2.5]
    assert run.evals.metrics["accuracy"].tolist() == [0.5, 0.75]
    assert run.step_is_row and run.evals.step.tolist() == [1, 2]


def test_lines_of_json_may_nest_and_may_say_which_split_they_are_of(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "log.jsonl",
        {"split": "train", "step": 1, "loss": 2.5, "optim": {"lr": 0.5}},
        {"split": "validation", "step": 1, "loss": 3.5, "accuracy": 0.25},
    )
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5] and run.train.learning_rate.tolist() == [0.5]
    assert run.evals.loss.tolist() == [3.5] and run.evals.metrics["accuracy"].tolist() == [0.25]


def test_a_step_may_be_written_with_the_number_of_all_of_them(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "logging.jsonl", {"loss": 2.5, "global_step/max_steps": "5/100"})
    assert open_log(path).train.step.tolist() == [5]


def test_epochs_in_leaps_of_hundreds_are_steps(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", ["Epoch", "Training Loss"], *([250 * n, 3 - n / 10] for n in range(9))
    )
    run = open_log(path)
    assert run.train.step.tolist() == [250.0 * n for n in range(9)] and np.isnan(run.train.epoch).all()
    assert '"Epoch" goes up to 2,000 in leaps' in run.problems[0]


def test_a_perplexity_stands_in_by_its_logarithm(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["step", "ppl", "val_ppl"], [1, math.e, math.e**2])
    run = open_log(path)
    assert run.train.loss.tolist() == pytest.approx([1]) and run.evals.loss.tolist() == pytest.approx([2])
    assert len(run.problems) == 2 and "logarithm of the perplexity" in run.problems[0]


def test_steps_that_begin_again_with_each_epoch_are_counted_on(tmp_path: Path) -> None:
    rows = [[1, 5, 3.0], [1, 10, 2.5], [2, 5, 2.25], [2, 10, 2.0], [3, 5, 1.75]]
    run = open_log(write_csv(tmp_path / "a.csv", ["epoch", "step", "loss"], *rows))
    assert run.train.step.tolist() == [5, 10, 15, 20, 25] and run.restarts == ()


def test_a_step_that_goes_back_is_a_restart_and_nothing_is_left_out(tmp_path: Path) -> None:
    rows = [[10, 3.0], [20, 2.5], [30, 2.25], [20, 2.4], [30, 2.2], [30, 2.2]]
    run = open_log(write_csv(tmp_path / "a.csv", ["step", "loss"], *rows))
    assert run.restarts == (3,) and len(run.train) == 6
    assert "goes back 1 time, first from 30 to 20" in run.problems[0]
    assert "1 training point has the step of the point before" in run.problems[1]


def test_rows_that_are_cut_or_repeat_the_header_are_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["step", "loss"], [1, 2.5], ["step", "loss"], [2, 2.25], [3])
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5, 2.25]
    assert "2 rows were passed over" in run.problems[0]


def test_a_value_that_is_no_number_is_absent_and_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["step", "loss"], [1, 2.5], [2, "oops"], [3, "1,024.5"])
    run = open_log(path)
    assert run.train.loss.tolist() == [2.5, 1024.5]
    assert (
        '1 value of "loss" is no number and counts as absent: ' in run.problems[0]
        and "'oops'" in run.problems[0]
    )


def test_columns_may_be_given_and_wrong_ones_are_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["step", "loss", "objective"], [1, 2.5, 7])
    assert open_log(path, columns={"loss": "objective"}).train.loss.tolist() == [7]
    with pytest.raises(ConfigError, match='did you mean "objective"'):
        open_log(path, columns={"loss": "objectiv"})
    with pytest.raises(ConfigError, match='did you mean "loss"'):
        open_log(path, columns={"los": "loss"})


def test_a_table_without_a_loss_names_its_columns(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", {"step": 1, "objective": 2.5}, {"step": 2, "objective": 2.0})
    with pytest.raises(RunError, match="available: objective, step"):
        open_log(path)


def test_a_nameless_column_may_be_given(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "eval.csv", ["Step", "Value"], [10, 2.5])
    run = open_log(path, columns={"loss": "Value"})
    assert run.train.loss.tolist() == [2.5] and len(run.evals) == 0


def test_a_column_called_value_is_no_loss_beside_one(tmp_path: Path) -> None:
    run = open_log(write_csv(tmp_path / "a.csv", ["step", "loss", "value"], [10, 2.5, 9]))
    assert run.train.loss.tolist() == [2.5] and run.problems == ()


def test_two_broken_lines_never_make_a_whole_one(tmp_path: Path) -> None:
    lines = ['{"step": 1, "loss": 2.5}', '{"step": 2', '"loss": 9}', '{"step": 3, "loss": 2.25}']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    run = open_log(tmp_path / "log.jsonl")
    assert run.train.loss.tolist() == [2.5, 2.25]
    assert "2 lines are no JSON and were passed over, the first is line 2" in run.problems[0]


def test_a_given_step_leaves_a_metric_per_row_what_it_is(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "m.csv", ["metric", "step", "n", "value"], ["loss", 10, 1, 2.5], ["loss", 20, 2, 2]
    )
    assert open_log(path, columns={"step": "n"}).train.step.tolist() == [1, 2]


def test_decimal_commas_are_read_as_such_and_told(tmp_path: Path) -> None:
    rows = [["1,000", "2,120", "0,0002"], ["1,010", "1,979", "0,0002"]]
    run = open_log(write_csv(tmp_path / "a.csv", ["step", "loss", "lr"], *rows, delimiter=";"))
    assert run.train.loss.tolist() == [2.12, 1.979] and run.train.learning_rate.tolist() == [2e-4, 2e-4]
    assert run.train.step.tolist() == [1000, 1010]  # whole numbers: their commas stand before thousands
    assert 'decimal commas in column "loss": 2,120 was read as 2.120' in run.problems


def test_thousands_between_commas_stay_thousands(tmp_path: Path) -> None:
    run = open_log(write_csv(tmp_path / "a.csv", ["step", "loss"], ["1,000", 2.5], ["2,000", 2.25]))
    assert run.train.step.tolist() == [1000, 2000] and run.problems == ()


def test_rows_in_no_order_are_sorted_by_step(tmp_path: Path) -> None:
    rows = [[step, step / 10, ""] for step in (50, 40, 20, 10, 30)] + [[20, "", 2], [10, "", 1]]
    run = open_log(write_csv(tmp_path / "a.csv", ["step", "loss", "eval_loss"], *rows))
    assert run.train.step.tolist() == [10, 20, 30, 40, 50] and run.train.loss.tolist() == [1, 2, 3, 4, 5]
    assert run.evals.step.tolist() == [10, 20] and run.evals.loss.tolist() == [1, 2] and run.restarts == ()
    assert "sorted by step" in run.problems[0]


def test_of_several_runs_in_one_table_the_last_is_read_and_named_first(tmp_path: Path) -> None:
    lines = [
        {"step": step, "loss": loss, "run_id": run}
        for step in (1, 2, 3)
        for run, loss in (("a", 2), ("b", 3))
    ]
    run = open_log(write_lines(tmp_path / "a.jsonl", *lines))
    assert run.train.loss.tolist() == [3, 3, 3] and run.format == 'JSONL, run "b" of 2'
    assert '3 rows of "a" were passed over' in run.problems[0]


def test_a_column_of_runs_that_are_halves_of_one_is_none(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": 2.0, "run": run} for step in (1, 2, 3) for run in ("train", "validation")]
    run = open_log(write_lines(tmp_path / "a.jsonl", *lines))
    assert len(run.train) == 6 and run.format == "JSONL"


def test_a_loss_of_more_digits_than_any_number_has_is_told_and_costs_no_line(tmp_path: Path) -> None:
    digits = "9" * 5000
    path = tmp_path / "log.jsonl"
    path.write_text(
        f'{{"step": 1, "loss": 2.5}}\n{{"step": 2, "loss": {digits}}}\n{{"step": 3, "loss": 2.25}}\n'
    )
    run = open_log(path)
    assert run.train.step.tolist() == [1, 2, 3] and run.train.loss_not_finite.tolist() == [False, True, False]
    assert len(run.problems) == 1 and '1 value of "loss" is beyond what float32 holds' in run.problems[0]


ROWS = [
    {"step": 1, "loss": 2.5, "train_runtime": None},
    {"step": 2, "loss": 2.25, "train_runtime": None},
    {"step": 2, "loss": None, "train_runtime": 9.5},
]


def test_tables_that_pandas_writes_as_json_by_record_column_or_index_are_read_alike(tmp_path: Path) -> None:
    by_column = {name: {str(at): row[name] for at, row in enumerate(ROWS)} for name in ROWS[0]}
    by_row = {str(at): row for at, row in enumerate(ROWS)}
    for number, value in enumerate((ROWS, by_column, by_row)):  # records, columns, index
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(value))
        run = open_log(path)
        assert run.train.step.tolist() == [1, 2] and run.train.loss.tolist() == [2.5, 2.25]
        assert run.problems == ()


def test_a_quotation_mark_that_is_never_closed_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('step,loss,note\n1,2.5,a\n2,2.25,"b\n3,2.0,c\n4,1.75,d\n')
    assert open_log(path).train.loss.tolist() == [2.5, 2.25, 2.0, 1.75]


def test_a_text_of_several_lines_in_a_cell_is_one_cell_however_long(tmp_path: Path) -> None:
    rows = [[1, 2.5, "x, y\n1, 9, z\n"], [2, 2.25, "x" * 140_000]]  # csv's own limit is 131,072
    log, before = (
        write_csv(tmp_path / "log.csv", ["step", "loss", "answer"], *rows),
        csv.field_size_limit(131_072),
    )
    try:
        run = open_log(log)
        assert csv.field_size_limit() == 131_072  # as it was
    finally:
        csv.field_size_limit(before)
    assert run.train.step.tolist() == [1, 2] and run.train.loss.tolist() == [2.5, 2.25]
