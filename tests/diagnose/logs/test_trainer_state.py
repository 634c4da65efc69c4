"""trainer_state.json: as transformers writes it, as it used to, and as a killed process leaves it."""

import json
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import RunError

HISTORY = [
    {"loss": 2.5, "grad_norm": 1.5, "learning_rate": 1e-4, "epoch": 0.5, "step": 10},
    {"loss": 2.0, "grad_norm": 0.5, "learning_rate": 5e-5, "epoch": 1.0, "step": 20},
    {"eval_loss": 2.25, "eval_rougeL": 0.5, "eval_runtime": 1.0, "epoch": 1.0, "step": 20},
    {"train_runtime": 9.0, "train_loss": 2.25, "total_flos": 1.0, "epoch": 1.0, "step": 20},
]  # fmt: skip


def write(folder: Path, history: list[dict], **state: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 20, **state, "log_history": history}, indent=2))
    return path


def test_what_transformers_itself_writes_is_read(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    state = transformers.TrainerState(
        max_steps=40, num_train_epochs=2, logging_steps=10, eval_steps=20, save_steps=20, log_history=HISTORY
    )
    state.save_to_json(str(tmp_path / "trainer_state.json"))
    run = open_log(tmp_path / "trainer_state.json")
    assert run.train.step.tolist() == [10, 20] and run.train.loss.tolist() == [2.5, 2.0]
    assert run.train.grad_norm.tolist() == [1.5, 0.5] and run.train.learning_rate.tolist() == [1e-4, 5e-5]
    assert run.evals.step.tolist() == [20] and run.evals.loss.tolist() == [2.25]
    assert {name: one.tolist() for name, one in run.evals.metrics.items()} == {"rougeL": [0.5]}
    facts = run.facts
    assert (facts.max_steps, facts.num_epochs) == (40, 2)
    assert (facts.logging_steps, facts.eval_steps, facts.save_steps) == (10, 20, 20)
    assert run.problems == () and not run.step_is_row


def test_the_mean_loss_that_closes_a_training_is_no_point(tmp_path: Path) -> None:
    run = open_log(write(tmp_path, [HISTORY[-1], *HISTORY]))
    assert len(run.train) == 2


def test_a_state_without_gradient_norms_is_read(tmp_path: Path) -> None:
    old = [{name: one for name, one in entry.items() if name != "grad_norm"} for entry in HISTORY]
    run = open_log(write(tmp_path, old))
    assert np.isnan(run.train.grad_norm).all() and not run.train.grad_norm_not_finite.any()
    assert "grad_norm" not in run.columns


def test_values_that_are_not_finite_are_kept_and_marked(tmp_path: Path) -> None:
    # NaN as a literal, which json writes, as text, which newer transformers writes, and an infinite norm
    history = [
        {"loss": float("nan"), "grad_norm": float("inf"), "step": 1},
        {"loss": "nan", "grad_norm": "nan", "step": 2},
        {"loss": "1.5", "step": 3},
    ]
    run = open_log(write(tmp_path, history))
    assert run.train.loss_not_finite.tolist() == [True, True, False]
    assert run.train.grad_norm_not_finite.tolist() == [True, True, False]
    assert run.train.loss[2] == 1.5 and np.isnan(run.train.grad_norm[2])


def test_a_state_that_ends_in_the_middle_gives_its_whole_entries(tmp_path: Path) -> None:
    path = write(tmp_path, HISTORY)
    text = path.read_text()
    path.write_text(text[: text.index("eval_rougeL")])
    run = open_log(path)
    assert run.train.step.tolist() == [10, 20] and len(run.evals) == 0
    assert run.problems == ("the file is damaged or ends in the middle: 2 whole entries were read",)


def test_a_cut_state_keeps_what_was_told_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, HISTORY)
    text = path.read_text()
    path.write_bytes(text[: text.index("eval_rougeL")].encode() + bytes(9))  # as after a power cut
    run = open_log(path)
    assert len(run.problems) == 2 and run.problems[0].startswith("9 NUL bytes") and len(run.train) == 2


def test_a_state_that_ends_before_its_first_entry_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, HISTORY)
    path.write_text(path.read_text()[:50])
    with pytest.raises(RunError, match="ends before its first logged entry"):
        open_log(path)


def test_a_state_in_which_nothing_was_logged_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the log holds no point"):
        open_log(write(tmp_path, []))


def test_the_newest_checkpoint_of_an_output_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint-9", HISTORY[:1], global_step=9)
    newest = write(tmp_path / "checkpoint-10", HISTORY, global_step=10)
    assert open_log(tmp_path).path == newest  # by number: as text, 9 would come last
    assert open_log(tmp_path / "checkpoint-9").last_step == 10


def test_the_folder_s_own_state_is_read_unless_a_checkpoint_went_further(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "checkpoint-30", HISTORY, global_step=30)
    own = write(tmp_path, HISTORY, global_step=40)
    assert open_log(tmp_path).path == own
    write(tmp_path, HISTORY, global_step=20)
    assert open_log(tmp_path).path == checkpoint


def test_steps_given_as_a_share_become_a_number(tmp_path: Path) -> None:
    run = open_log(write(tmp_path, HISTORY, max_steps=200, eval_steps=0.1, logging_steps=5))
    assert (run.facts.eval_steps, run.facts.logging_steps) == (20, 5)  # 0.1 of 200


def test_rewards_mark_reinforcement_learning_and_margins_mark_preferences(tmp_path: Path) -> None:
    grpo = [{"loss": 0.0, "reward": 1.0, "rewards/format/mean": 0.5, "step": 1}]
    dpo = [{"loss": 0.69, "rewards/chosen": 0.0, "rewards/margins": 0.0, "step": 1}]
    grpo_run, dpo_run = open_log(write(tmp_path / "a", grpo)), open_log(write(tmp_path / "b", dpo))
    assert (grpo_run.is_rl, grpo_run.is_preference) == (True, False)
    assert (dpo_run.is_rl, dpo_run.is_preference) == (False, True)


def test_of_several_evaluation_sets_the_first_is_the_loss_and_the_others_are_metrics(tmp_path: Path) -> None:
    history = [
        {"loss": 1.0, "step": 1},
        {"eval_math_loss": 2.0, "eval_math_accuracy": 0.5, "step": 1},
        {"eval_code_loss": 3.0, "step": 1},
    ]
    run = open_log(write(tmp_path, history))
    assert run.columns["eval_loss"] == "eval_math_loss"
    assert '"eval_math_loss" was read as the loss' in run.problems[0] and "eval_code_loss" in run.problems[0]
    assert run.evals.loss[0] == 2.0 and run.evals.metrics["code_loss"][0] == 3.0
