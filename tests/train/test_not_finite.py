"""NaN and infinity, planted at every step of a training: found at that very step, and never saved."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trials import Ground, loads, outcome_of

from lorascope.errors import NumericsError
from lorascope.run.current import recipe_of
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json, read_steps
from lorascope.train import stage
from lorascope.train.checkpoint import committed_steps, newest_checkpoint, step_of
from lorascope.train.trainee import Trainee

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("trials")]

# In the forward pass, in the backward pass, in a weight before the step; and in what the update leaves.
BEFORE, AFTER = ("loss", "gradient", "old weight"), ("weight", "exp_avg", "exp_avg_sq")


def plant(place: str, value: float, trainee: Trainee) -> None:
    """Make one number of the next step not finite."""
    parameter, optimizer = trainee.parameters[-1], trainee.optimizer
    if place == "loss":
        handle = trainee.model.get_input_embeddings().register_forward_hook(
            lambda module, given, result: (handle.remove(), result * value)[1]
        )
    elif place == "gradient":
        hook = parameter.register_hook(lambda gradient: (hook.remove(), gradient * value)[1])
    elif place == "old weight":
        _spoil(parameter.data, value)
    else:

        def after(*given: Any) -> None:
            done.remove()
            _spoil(parameter.data if place == "weight" else optimizer.state[parameter][place], value)

        done = optimizer.register_step_post_hook(after)


def _spoil(tensor: torch.Tensor, value: float) -> None:
    tensor.view(-1)[0] = value


def train_with(run: RunFolder, step: int, place: str, value: float, patch: pytest.MonkeyPatch) -> None:
    count = itertools.count(1)
    optimizer_step = stage.optimizer_step

    def spoiled(trainee: Trainee, *given: Any, **named: Any) -> Any:
        if next(count) == step:
            plant(place, value, trainee)
        return optimizer_step(trainee, *given, **named)

    with patch.context() as patched:
        patched.setattr(stage, "optimizer_step", spoiled)
        stage.train_run(run, recipe_of(run))


def found_at(ground: Ground, step: int, place: str, value: float, patch: pytest.MonkeyPatch) -> None:
    """Plant a number, and insist on where it is found, what was saved and how the training goes on."""
    run = ground.copy(f"{place}-{step}-{value}".replace(" ", "-"))
    with pytest.raises(NumericsError, match="not finite"):
        train_with(run, step, place, value, patch)
    # What stands before the update leaves the state of the step before, which is saved. After it, and with a
    # weight that was broken already, there is what was saved every second step.
    kept = step - 1 if place in ("loss", "gradient") else (step - 1) // 2 * 2
    newest, passed_over = newest_checkpoint(run.checkpoints)
    failure = read_json(run.train_failure)
    assert (failure["step"], failure["last_good_step"]) == (step, kept)
    assert all(name.startswith("rows.json#") for name in failure["example_ids"]) and failure["example_ids"]
    assert [record.step for record in read_steps(run.steps)] == list(range(1, step))
    assert (0 if newest is None else step_of(newest), passed_over) == (kept, [])
    for checkpoint in committed_steps(run.checkpoints):
        loads(checkpoint)
    assert not run.adapter.exists()
    stage.train_run(run, recipe_of(run), resume=True)
    assert outcome_of(run) == ground.outcome
    assert not run.train_failure.exists()


@pytest.mark.parametrize(
    ("step", "place", "value"), [(1, "exp_avg_sq", math.inf), (4, "weight", math.nan), (6, "loss", math.nan)]
)
def test_a_number_that_is_not_finite_is_found_at_its_step(
    ground: Ground, step: int, place: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_at(ground, step, place, value, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("place", [*BEFORE, *AFTER])
def test_a_number_that_is_not_finite_is_found_at_every_step(
    small_ground: Ground, place: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, small_ground.num_steps + 1):
        found_at(small_ground, step, place, value, monkeypatch)


def test_a_full_disk_does_not_hide_why_a_training_stopped(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, make_recorder: Callable[..., Any]
) -> None:
    from lorascope.train import resume

    def full(*given: Any, **named: Any) -> None:
        from lorascope.errors import RunError

        raise RunError("the disk is full")

    run, recorder = ground.copy("full-and-broken"), make_recorder()
    monkeypatch.setattr(resume, "save_checkpoint", full)
    monkeypatch.setattr(resume, "write_json", full)
    monkeypatch.setattr(stage, "commit_step", lambda training: None)
    with monkeypatch.context() as patched, pytest.raises(NumericsError, match="the loss is not finite"):
        optimizer_step = stage.optimizer_step
        steps = itertools.count(1)

        def spoiled(trainee: Trainee, *given: Any, **named: Any) -> Any:
            if next(steps) == 2:
                plant("loss", math.nan, trainee)
            return optimizer_step(trainee, *given, **named)

        patched.setattr(stage, "optimizer_step", spoiled)
        stage.train_run(run, recipe_of(run), observer=recorder)
    assert recorder.notes[-2:] == ["step 1 is not saved: the disk is full", "the disk is full"]
    assert not Path(run.train_failure).exists()
