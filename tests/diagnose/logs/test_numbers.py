"""Cells as people and tools write them."""

import json
from pathlib import Path

import numpy as np

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.numbers import has_decimal_commas, rounded_zeros, with_points
from lorascope.diagnose.logs.open_log import open_log
from lorascope.diagnose.stage import diagnose_log


def read(tmp_path: Path, text: str) -> LoggedRun:
    path = tmp_path / "log"
    path.write_text(text)
    return open_log(path)


def test_a_comma_stands_before_decimals_where_thousands_cannot_explain_it() -> None:
    assert has_decimal_commas(["1,951", "1,9"], likely=False)
    assert has_decimal_commas(["0,951", None, 2.5], likely=False)
    assert has_decimal_commas(["1,5e-05"], likely=False)
    assert not has_decimal_commas(["1,951", "2,000"], likely=False)
    assert has_decimal_commas(["1,951", "2,000"], likely=True)
    assert not has_decimal_commas(["1.5", 2, None], likely=True)


def test_what_only_thousands_explain_settles_it() -> None:
    for value in ("1,234.5", "1,234,567"):
        assert not has_decimal_commas(["1,951", value], likely=True)


def test_points_before_a_decimal_comma_are_thousands() -> None:
    assert with_points("1.234,5") == "1234.5" and with_points("1,9") == "1.9"
    assert with_points("1.5") == "1.5" and with_points(None) is None


def test_a_printed_zero_is_unknown_and_an_exact_one_is_not() -> None:
    # Python writes an exact zero as 0.0; two and more decimals are a format.
    assert rounded_zeros(["0.0000", "0.0", 0.0, "0.1000", None], small_is_zero=False) == [True] + [False] * 4


def test_a_printed_zero_far_below_the_largest_value_may_count_as_zero() -> None:
    # A unit is 0.0001: 0.0010 is ten of them, 0.0009 is not.
    assert rounded_zeros(["0.0010", "0.0000"], small_is_zero=True) == [False, False]
    assert rounded_zeros(["0.0009", "0.0000"], small_is_zero=True) == [False, True]
    assert rounded_zeros(["0.0010", "0.0000"], small_is_zero=False) == [False, True]


def test_losses_beyond_float32_count_as_not_finite_and_are_told(tmp_path: Path) -> None:
    # The largest float32 is 3.4e38: 60 of 60 losses are beyond it, and a median of two of them overflows.
    lines = [{"step": step, "loss": loss} for step, loss in enumerate(np.linspace(1e300, 1e308, 60).tolist())]
    run = read(tmp_path, "".join(json.dumps(one) + "\n" for one in lines))
    assert run.train.loss_not_finite.all() and "60 values of" in run.problems[0]
    assert "the first is 1e+300" in run.problems[0]
    assert diagnose_log(run, "log")["verdict"] == "non_finite"


def test_a_step_of_hundreds_of_digits_counts_as_absent(tmp_path: Path) -> None:
    # 2^53 is 9.007e15. A point without a step has that of the point before.
    steps = ["1", "2", "9" * 390, "1e300", "3"]
    run = read(tmp_path, "".join(f'{{"step": {step}, "loss": 1.5}}\n' for step in steps))
    assert run.train.step.tolist() == [1, 2, 2, 2, 3] and "2 values of" in run.problems[0]
    assert diagnose_log(run, "log")["last_step"] == 3


def test_a_loss_of_hundreds_of_digits_is_not_finite(tmp_path: Path) -> None:
    run = read(tmp_path, f'{{"step": 1, "loss": {"9" * 390}}}\n{{"step": 2, "loss": 1.5}}\n')
    assert run.train.loss_not_finite.tolist() == [True, False] and "beyond what float32" in run.problems[0]


def test_planned_steps_that_are_no_count_are_unknown(tmp_path: Path) -> None:
    for planned in ("1e999", "NaN", "9" * 390, '"many"', "-1"):
        history = '[{"step": 1, "loss": 1.5}]'
        run = read(tmp_path, f'{{"max_steps": {planned}, "save_steps": {planned}, "log_history": {history}}}')
        assert run.facts.max_steps is None and run.facts.save_steps is None


def test_losses_with_three_digits_behind_each_comma_are_decimals_where_thousands_would_be_absurd(
    tmp_path: Path,
) -> None:
    # As thousands these losses would all lie between 1,000 and 20,000, without a decimal.
    run = read(
        tmp_path, "".join(f"step {step} loss: {loss}\n" for step, loss in ((1, "2,000"), (2, "1,951")))
    )
    assert run.train.loss.tolist() == [2.0, 1.951]
    assert run.problems == ('decimal commas in column "loss": 2,000 was read as 2.000',)


def test_a_file_with_decimal_commas_in_its_loss_has_them_in_its_gradient_norm(tmp_path: Path) -> None:
    run = read(tmp_path, "step 1 loss: 2,000 grad_norm: 1,234\nstep 1,000 loss: 1,951 grad_norm: 0,951\n")
    assert run.train.grad_norm.tolist() == [1.234, 0.951] and run.train.step.tolist() == [1, 1000]
    run = read(tmp_path, "step 1 loss: 2,000 grad_norm: 1,234\nstep 2 loss: 1,951 grad_norm: 1,951\n")
    assert run.train.grad_norm.tolist() == [1.234, 1.951]


def test_losses_that_may_be_thousands_stay_so_and_the_reading_is_told(tmp_path: Path) -> None:
    # 950 has no comma, so as decimals the loss would leap from 1.1 to 950.
    run = read(tmp_path, "step 1 loss: 1,100\nstep 2 loss: 950\n")
    assert run.train.loss.tolist() == [1100, 950]
    assert run.problems == ('commas before three digits in column "loss": 1,100 was read as 1100',)
    run = read(tmp_path, "step 1 loss: 95,100\nstep 2 loss: 90,250\n")
    assert run.train.loss.tolist() == [95100, 90250] and "95,100 was read as 95100" in run.problems[0]
    run = read(tmp_path, "step 1 loss: 1,100.5\nstep 2 loss: 1,050\n")  # a point behind it: thousands
    assert run.train.loss.tolist() == [1100.5, 1050] and run.problems == ()


def test_a_loss_in_percent_is_told(tmp_path: Path) -> None:
    run = read(tmp_path, "step,loss,accuracy\n1,90.5%,10%\n2,86.1%,20%\n")
    assert run.train.loss.tolist() == [90.5, 86.1]
    assert len(run.problems) == 1 and "90.5% was read as 90.5" in run.problems[0]
