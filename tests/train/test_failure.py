"""Real divergence: a learning rate that no training survives."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.cli.app import main
from lorascope.errors import DataError, LorascopeError, ModelError, NumericsError, RunError
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_steps
from lorascope.train.checkpoint import TrainState, committed_steps, save_checkpoint

pytestmark = pytest.mark.end_to_end

# One AdamW step moves every weight by about the learning rate: products of two such weights pass float32.
EXTREME = "train.learning_rate=1e30"


def failure_of(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.train_failure.read_text())
    return found


def test_a_training_that_diverges_stops_with_its_examples_and_its_last_good_step(
    ready_run: Any, train: Any
) -> None:
    run = ready_run()
    with pytest.raises(NumericsError, match="is not finite"):
        train(run, EXTREME)
    failure, steps = failure_of(run), read_steps(run.steps)
    assert failure["step"] == len(steps) + 1
    assert failure["last_good_step"] == len(steps)
    assert failure["example_ids"] and all(name.startswith("rows.json#") for name in failure["example_ids"])
    assert failure["learning_rate"] > 1e28
    assert all(record.loss is not None for record in steps)
    from safetensors.torch import load_file

    saved = committed_steps(run.checkpoints)[-1]
    assert saved.name == f"step-{len(steps):08d}"
    assert all(bool(torch.isfinite(t).all()) for t in load_file(saved / "adapter.safetensors").values())
    assert not run.adapter.exists()


@pytest.mark.parametrize("place", ["weight", "moment"])
def test_what_is_not_finite_is_never_committed(tmp_path: Path, place: str) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    (weight.data if place == "weight" else optimizer.state[weight]["exp_avg_sq"])[1] = torch.inf
    state = TrainState(step=1, best_loss=None, best_step=None, settings={}, scaler={})
    with pytest.raises(NumericsError, match="checkpoint of step 1"):
        save_checkpoint(tmp_path, state, {"weight": weight}, optimizer, keep=2)
    assert list(tmp_path.iterdir()) == []


def test_the_command_exits_1_and_names_the_examples(
    ready_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ready_run()
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(run.path), "--set", EXTREME, "--json"])
    out, err = capsys.readouterr()
    assert stopped.value.code == 1
    error = json.loads(out)["error"]  # one object, and nothing else
    assert "is not finite" in error["problem"] and "examples rows.json#" in error["where"]
    assert "learning_rate" in error["fix"]
    assert "Traceback" not in err


def test_after_a_divergence_a_smaller_learning_rate_needs_overwrite(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any
) -> None:
    run = ready_run()
    with pytest.raises(NumericsError):
        train(run, EXTREME)
    with pytest.raises(RunError, match="--overwrite"):
        train(run)
    train(run, "train.learning_rate=0.01", overwrite=True)  # what was asked for last stands in config.json
    assert not run.train_failure.exists()
    assert outcome(run) == outcome(straight)


def test_an_unknown_target_module_is_refused_by_the_command_with_the_near_name(
    ready_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ready_run()
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(run.path), "--set", "lora.target_modules=[c_atn]"])
    assert stopped.value.code == 1
    err = capsys.readouterr().err
    assert 'error: lora.target_modules: "c_atn" matches no layer' in err
    assert 'did you mean "c_attn"?' in err


def test_a_base_model_with_another_tokenizer_than_the_datas_is_refused(
    ready_run: Any, train: Any, chat_base: Path
) -> None:
    with pytest.raises(ModelError, match="the tokenizer is not the one this run was prepared with"):
        train(ready_run(), f"base={chat_base}")


def test_a_dataset_that_was_not_checked_is_not_trained_on(ready_run: Any, train: Any) -> None:
    run = ready_run()
    report = run.check_report.read_text()
    run.check_report.unlink()
    with pytest.raises(RunError, match='not been through "check" yet'):
        train(run)
    values = json.loads(report)
    run.check_report.write_text(json.dumps({**values, "dataset_sha256": "0" * 64}))
    with pytest.raises(RunError, match="the check is of another dataset"):
        train(run)
    run.check_report.write_text(json.dumps({**values, "passed": False, "failed": ["overlap"]}))
    with pytest.raises(RunError, match=r"the check failed(.|\n)*check.allow=\[overlap\]"):
        train(run)


def test_a_training_split_without_targets_is_refused(ready_run: Any) -> None:
    from lorascope.run.current import recipe_of
    from lorascope.run.dataset import IGNORE, Example, load_examples
    from lorascope.train.stage import train_splits, training_inputs

    run = ready_run()
    rows, _ = load_examples(run.dataset, "train")
    silent = [
        Example(example_id=one.example_id, input_ids=one.input_ids, labels=one.labels * 0 + IGNORE)
        for one in rows
    ]
    recipe = recipe_of(run)
    with pytest.raises(DataError, match="no training example has a target token"):
        train_splits(run, recipe, {"train": silent}, training_inputs(recipe, {"train": silent}))


def test_settings_that_cannot_work_are_not_kept(ready_run: Any, train: Any) -> None:
    run = ready_run()
    before = run.config.read_bytes()
    with pytest.raises(LorascopeError, match="v_prj"):
        train(run, "lora.target_modules=[v_prj]")
    assert run.config.read_bytes() == before


def test_too_little_memory_is_told_as_that(ready_run: Any, train: Any) -> None:
    run = ready_run()
    with pytest.raises(RunError, match="the memory of this machine is not enough"):
        train(run, "lora.rank=10000000000")
