"""Prompts answered at every evaluation, and what trackers are sent."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import ConfigError
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_evals, read_json, read_lines, read_steps
from lorascope.train.trackers import refuse_missing

pytestmark = pytest.mark.end_to_end

PROMPTS = 'train.sample_prompts=["Say number 3.", "What is the sea?"]'


@pytest.fixture
def own(ready_run: Callable[..., RunFolder]) -> RunFolder:
    """A prepared and checked run to train."""
    return ready_run()


def test_every_evaluation_answers_the_same_prompts(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    train(own, PROMPTS, "train.eval_steps=4")
    answers = list(read_lines(own.samples))
    steps = [record.step for record in read_evals(own.evals)]
    assert [one["step"] for one in answers] == [step for step in steps for _ in range(2)]
    assert {one["prompt"] for one in answers} == {"Say number 3.", "What is the sea?"}
    assert all(one["num_tokens"] <= 64 for one in answers)


def test_answering_prompts_changes_nothing_of_the_training(
    own: RunFolder, train: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    other = RunFolder(Path(shutil.copytree(own.path, tmp_path / "other")))
    train(own, "train.eval_steps=4")
    train(other, "train.eval_steps=4", PROMPTS)
    wanted, found = read_steps(own.steps), read_steps(other.steps)
    assert [one.loss for one in found] == [one.loss for one in wanted]
    name = "adapter_model.safetensors"
    assert (other.adapter / name).read_bytes() == (own.adapter / name).read_bytes()


def test_the_report_shows_how_the_answers_changed(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    from lorascope.report.stage import report_run

    train(own, PROMPTS)
    page = report_run(own).read_text()
    assert "How the answers changed" in page and "Say number 3." in page and "base model" in page


def test_tensorboard_gets_every_step_and_both_losses(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    train(own, "train.trackers=[tensorboard]", "train.eval_steps=4", PROMPTS)
    log = open_log(own.stage("train") / "tensorboard")
    steps, evals = read_steps(own.steps), read_evals(own.evals)
    assert log.train.step.tolist() == [one.step for one in steps]
    assert log.train.loss.tolist() == pytest.approx([one.loss for one in steps], rel=1e-6)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = EventAccumulator(str(own.stage("train") / "tensorboard"))
    told.Reload()
    for name, wanted in (
        ("validation/loss", [one.validation.loss for one in evals if one.validation]),
        ("probe/loss", [one.probe.loss for one in evals]),
    ):
        assert [one.value for one in told.Scalars(name)] == pytest.approx(wanted, rel=1e-6)
    assert "validation/perplexity" in told.Tags()["scalars"]
    assert any("sample/0" in tag for tag in told.Tags()["tensors"])


@pytest.mark.filterwarnings("ignore")  # wandb's own
def test_wandb_is_written_offline(
    own: RunFolder, train: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(own, "train.trackers=[wandb]", "train.eval_steps=4")
    runs = list((own.stage("train") / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    binary = next(runs[0].glob("*.wandb")).read_bytes()
    assert b"validation/perplexity" in binary and b"train/loss" in binary


def test_wandb_without_a_key_is_one_message_before_the_first_step(own: RunFolder, tmp_path: Path) -> None:
    # A process of its own: wandb keeps the mode of an earlier test.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    words = [sys.executable, "-m", "lorascope", "train", str(own.path), "--set", "train.trackers=[wandb]"]
    done = subprocess.run(words, env={**environ, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "train.trackers: wandb does not start" in done.stderr and "WANDB_MODE=offline" in done.stderr
    assert not own.steps.exists()
    assert not own.stage("train").exists()  # nothing half-made
    assert read_json(own.config)["train"].get("trackers") != ["wandb"]  # a refused setting is not kept


def test_a_tracker_that_does_not_start_leaves_the_older_training(
    own: RunFolder, train: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = train(own)
    before = {path: path.read_bytes() for path in own.stage("train").rglob("*") if path.is_file()}

    def refuse(self: Any) -> None:
        raise OSError("no room for events")

    monkeypatch.setattr("accelerate.tracking.TensorBoardTracker.start", refuse)
    with pytest.raises(ConfigError, match="tensorboard does not start: no room for events"):
        train(own, "train.trackers=[tensorboard]", overwrite=True)
    assert read_json(own.train_summary) == summary
    assert {path: path.read_bytes() for path in own.stage("train").rglob("*") if path.is_file()} == before


def test_a_tracker_that_is_not_installed_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="wandb is not installed"):
        refuse_missing(["wandb"])


def test_a_resumed_training_keeps_each_answer_once(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    class Stop(Exception):
        pass

    def judge(run: RunFolder, stop_on: Any) -> Any:
        if read_evals(run.evals)[-1].step == 4:
            raise Stop
        from lorascope.run.progress import Judgement

        return Judgement(verdict="healthy", reason="")

    with pytest.raises(Stop):
        train(own, PROMPTS, "train.eval_steps=2", judge=judge)
    train(own, PROMPTS, "train.eval_steps=2", resume=True)
    answers = list(read_lines(own.samples))
    steps = [record.step for record in read_evals(own.evals)]
    assert [one["step"] for one in answers] == [step for step in steps for _ in range(2)]
    assert json.loads(own.train_summary.read_text())["stopped"] is None
