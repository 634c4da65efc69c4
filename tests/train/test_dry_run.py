"""A dry run plans a training and tries its first steps; what it says is what the training then does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.cli.app import main
from lorascope.errors import NumericsError, RunError
from lorascope.lm import fused, passes
from lorascope.lm.packed import PackedModel
from lorascope.pipeline import dry_run_all
from lorascope.run.current import recipe_of
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
from lorascope.run.records import read_steps
from lorascope.train.dry_run import dry_run

pytestmark = pytest.mark.end_to_end


def test_the_plan_is_what_the_training_then_does(
    ready_run: Callable[[str], RunFolder], train: Callable[..., dict[str, Any]]
) -> None:
    run = ready_run("run")
    before = sorted(path.name for path in run.path.iterdir())
    found = dry_run(run, recipe_of(run))
    assert sorted(path.name for path in run.path.iterdir()) == before  # nothing is written
    plan, measured = found["plan"], found["measured"]
    summary = train(run)
    assert plan["steps"] == summary["steps"] == 12
    assert plan["target_tokens"] == summary["target_tokens"]
    assert plan["adapter_weights"] == summary["trainable_parameters"]
    assert plan["engine"] == summary["engine"]
    # 4 tensors of 4 bytes for each weight: a gradient and two moments; the weight itself is the model's.
    assert plan["optimizer_bytes"] == plan["adapter_weights"] * 12
    assert plan["weight_bytes"] == 4 * (summary["base_parameters"] + summary["trainable_parameters"])
    assert measured["loss_difference"] < 1e-5 and measured["gradient_difference"] < 1e-4
    assert measured["steps"] == 3 and measured["retries"] == []
    assert measured["target_tokens_per_s"] > 0
    assert 0 < measured["training_seconds"] < 600
    json.dumps(found, allow_nan=False)


def test_a_gradient_that_differs_is_refused_though_the_losses_agree(
    ready_run: Callable[[str], RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PackedModel.nll

    def wrong(self: PackedModel, row: Any) -> Any:
        nll_S, correct_S = plain(self, row)
        # The right losses with gradients 1 % too long: what a self-check of losses cannot see.
        return nll_S.detach() + 1.01 * (nll_S - nll_S.detach()), correct_S

    monkeypatch.setattr(PackedModel, "nll", wrong)
    run = ready_run("run")
    with pytest.raises(
        NumericsError, match=r"packed rows differ from padded ones: by 0?.* in the loss, 0.01 in"
    ):
        dry_run(run, recipe_of(run))


def test_a_fault_in_the_gradient_of_a_fused_layer_is_refused(
    ready_run: Callable[[str], RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fused.lora_linear

    def wrong(*given: Any, **named: Any) -> torch.Tensor:
        out = plain(*given, **named)
        return out.detach() + 1.01 * (out - out.detach())

    monkeypatch.setattr(fused, "lora_linear", wrong)
    run = ready_run("run")
    with pytest.raises(NumericsError, match="packed rows differ from padded ones"):
        dry_run(run, recipe_of(run))


def test_a_run_from_data_is_prepared_checked_and_tried(alpaca_base: Path, tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {n}.", "output": f"{n} {n + 1}."} for n in range(40)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    recipe = make_recipe(
        {
            "base": str(alpaca_base),
            "data": str(tmp_path / "rows.json"),
            "prepare": {"max_length": 128},
            "train": {"epochs": 1, "batch_size": 8},
        }
    )
    run = RunFolder(tmp_path / "run")
    found = dry_run_all(run, recipe)
    assert found["check"]["passed"] and run.dataset.is_dir()
    assert found["plan"]["batch_size"] == 8
    assert not run.stage("train").exists()
    again = dry_run_all(run, recipe)  # prepare is up to date now
    assert again["plan"]["steps"] == found["plan"]["steps"]


def test_the_command_prints_a_table_and_the_command_that_does_it(
    ready_run: Callable[[str], RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = ready_run("run")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(run.config), "--out", str(run.path), "--dry-run"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    for label in ("steps", "tokens", "adapter", "engine", "fast path = plain path", "memory", "disk", "time"):
        assert f"\n  {label:24}" in told
    assert "12 of 4 examples, 2 epochs of 21" in told
    assert told.rstrip().splitlines()[-1] == f"next: lorascope run {run.config} --out {run.path}"
    assert read_steps(run.steps) == [] if run.steps.exists() else True


def test_the_command_writes_one_object_for_programs(
    ready_run: Callable[[str], RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = ready_run("run")
    with pytest.raises(SystemExit):
        main(["run", str(run.config), "--out", str(run.path), "--dry-run", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"run", "plan", "measured", "prepare", "check"} <= set(found)


def test_too_little_memory_is_found_before_the_training(
    ready_run: Callable[[str], RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

    monkeypatch.setattr(passes, "padded_losses", refuse)
    run = ready_run("run")
    with pytest.raises(RunError, match="memory of this machine is not enough"):
        dry_run(run, recipe_of(run))
