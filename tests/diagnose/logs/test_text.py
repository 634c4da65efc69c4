"""What trainings print: mappings, words, progress bars."""

from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import RunError


def read(tmp_path: Path, text: str | bytes) -> LoggedRun:
    path = tmp_path / "output.log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_log(path)


def test_mappings_between_the_states_of_a_progress_bar_are_read(tmp_path: Path) -> None:
    text = (
        "  0%|          | 0/4 [00:00<?, ?it/s]\r 50%|#####     | 2/4 [00:01<00:01, 1.9it/s]"
        "{'loss': 2.5, 'grad_norm': 1.5, 'learning_rate': 1e-05, 'epoch': 0.5}\n"
        "\x1b[A\x1b[32m{'loss': '2.25', 'grad_norm': 'nan', "
        "'learning_rate': '5e-06', 'epoch': '1'}\x1b[0m\r\n"
        "{'eval_loss': 2.75, 'eval_accuracy': 0.5, 'eval_runtime': 1.0, 'epoch': 1.0}\n"
        "{'train_runtime': 9.0, 'train_loss': 2.375, 'epoch': 1.0}\n"
    )
    run = read(tmp_path, text)
    assert run.train.loss.tolist() == [2.5, 2.25] and run.train.epoch.tolist() == [0.5, 1]
    assert run.train.learning_rate.tolist() == [1e-5, 5e-6]
    assert run.train.grad_norm_not_finite.tolist() == [False, True]
    assert run.evals.loss.tolist() == [2.75] and run.evals.metrics["accuracy"].tolist() == [0.5]
    assert run.step_is_row and run.train.step.tolist() == [1, 2] and run.evals.step.tolist() == [3]


def test_the_lines_of_nanogpt_keep_both_of_its_training_losses(tmp_path: Path) -> None:
    text = (
        "step 0: train loss 4.25, val loss 4.5\niter 0: loss 4.125, time 254.85ms, mfu -100.00%\n"
        "iter 10: loss 3.5 BPC, time 49.2ms\nstep 10: train loss 3.25, val loss 3.75\n"
        "iter 20: loss nan, time 1ms\n"
    )
    run = read(tmp_path, text)
    assert run.train.step.tolist() == [0, 10, 20] and run.train.loss[:2].tolist() == [4.125, 3.5]
    assert run.train.loss_not_finite.tolist() == [False, False, True]
    assert run.evals.step.tolist() == [0, 10] and run.evals.loss.tolist() == [4.5, 3.75]
    assert run.evals.metrics["train_loss"].tolist() == [4.25, 3.25]  # measured as the validation loss is


@pytest.mark.parametrize(
    "line",
    [
        "step 5 loss: 2.5 lr: 0.25",
        "[INFO] Step: 5/100 | Loss: 2.5000 | LR: 2.5e-1",
        "2024-06-17 22:30:31,153 - INFO - iter=5 train_loss=2.5 lr=0.25",
        "Step [5/100], Training Loss 2.5, learning rate: 0.25.",
        "\x1b[1mglobal step 5\x1b[0m INFO loss is 2.5, lr = .25",
        "Step 5 | loss:2.5 lr:0.25 tokens_per_second_per_gpu:12.5",
        " iteration   5/  100 | learning rate: 2.500E-01 | lm loss: 2.5 | loss scale: 1.0 |",
        'INFO | train | {"epoch": 1, "train_loss": "2.5", "train_num_updates": "5", "train_lr": "0.25"}',
    ],
)
def test_losses_told_in_words_are_read(tmp_path: Path, line: str) -> None:
    run = read(tmp_path, f"starting\n{line}\n{line.replace('2.5', '2.25', 1)}\n")
    assert run.train.step.tolist() == [5, 5]
    assert run.train.loss[0] == 2.5 and run.train.learning_rate[0] == 0.25


def test_the_lines_of_keras_count_once_per_epoch(tmp_path: Path) -> None:
    text = (
        "Epoch 1/2\n 50/100 [=====>....] - ETA: 0s - loss: 9.5\x08\x08\x08\r"
        "100/100 [=====] - 1s 2ms/step - loss: 2.5 - accuracy: 0.5 - val_loss: 3.5 - val_accuracy: 0.25\n"
        "Epoch 2/2\n100/100 [==========] - 1s 2ms/step - loss: 2.25 - accuracy: 0.5 - val_loss: 3.25\n"
    )
    run = read(tmp_path, text)
    assert run.train.epoch.tolist() == [1, 2] and run.train.loss.tolist() == [2.5, 2.25]
    assert run.evals.loss.tolist() == [3.5, 3.25] and run.evals.metrics["accuracy"][0] == 0.25


def test_a_best_loss_that_is_mentioned_is_no_point(tmp_path: Path) -> None:
    text = (
        "epoch 1 train loss: 2.5 val loss: 3.5\nbest val loss: 1.5\n"
        "epoch 2 train loss: 2.25 (best val loss 3.5)\n"
    )
    run = read(tmp_path, text)
    assert run.train.loss.tolist() == [2.5, 2.25] and run.evals.loss.tolist() == [3.5]


def test_of_two_forms_the_fuller_is_read_and_the_other_is_told(tmp_path: Path) -> None:
    text = "".join(f"step {n} loss: {3 - n / 4}\n" for n in range(1, 5)) + "{'loss': nan, 'accuracy': 0.5}\n"
    run = read(tmp_path, text)
    assert run.train.loss.tolist() == [2.75, 2.5, 2.25, 2.0]
    assert run.problems == ("lines with a mapping in braces that tell a loss, passed over: 1, not finite: 1",)


def test_of_two_forms_that_are_as_full_the_mappings_are_read(tmp_path: Path) -> None:
    # transformers closes a training with a summary in words
    run = read(tmp_path, "{'loss': 2.5, 'epoch': 1.0}\n***** train metrics *****\n  train_loss   =     9.5\n")
    assert run.train.loss.tolist() == [2.5]


def test_bytes_that_are_no_text_do_not_hide_the_numbers(tmp_path: Path) -> None:
    run = read(tmp_path, b"\xe9\xff step 1 loss: 2.5\n" + b"step 2 loss: 2.25\n")
    assert run.train.loss.tolist() == [2.5, 2.25]
    assert "not UTF-8" in run.problems[0]


def test_text_in_utf_16_as_powershell_saves_it_is_read(tmp_path: Path) -> None:
    assert read(
        tmp_path, "step 1 loss: 2.5\r\nstep 2 loss: 2.25\r\n".encode("utf-16")
    ).train.step.tolist() == [1, 2]


def test_infinities_are_kept(tmp_path: Path) -> None:
    run = read(tmp_path, "step 1 loss: inf\nstep 2 loss: -inf\nstep 3 loss: 1e-3\n")
    assert run.train.loss.tolist() == [np.inf, -np.inf, 0.001]


def test_a_text_without_a_loss_is_refused_with_its_first_lines(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="begins with 'Dear diary,', 'no news.'"):
        read(tmp_path, "Dear diary,\n\nno news.\n")


def test_decimal_commas_are_read_as_such(tmp_path: Path) -> None:
    run = read(tmp_path, "step 5 loss: 1,9512 lr: 2,0e-04\nstep 10 loss: 1,875 lr: 1,0e-04\n")
    assert run.train.loss.tolist() == [1.9512, 1.875] and run.train.learning_rate.tolist() == [2e-4, 1e-4]
    assert 'decimal commas in column "loss": 1,9512 was read as 1.9512' in run.problems


def test_a_printed_zero_is_unknown(tmp_path: Path) -> None:
    run = read(
        tmp_path,
        "step 5 loss: 2.5 lr: 0.0000 grad_norm: 0.00\nstep 10 loss: 2.25 lr: 0.0000 grad_norm: 1.25\n",
    )
    assert np.isnan(run.train.learning_rate).all() and not run.train.grad_norm_not_finite.any()
    assert np.isnan(run.train.grad_norm[0]) and run.train.grad_norm[1] == 1.25
    assert '"lr" is printed with few decimals: where it says 0, 2 times, it is unknown' in run.problems
