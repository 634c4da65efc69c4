"""Old checkpoints go only once newer ones are known to be whole, and nothing is ever seen half gone."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.errors import RunError
from lorascope.run import commit
from lorascope.run.commit import is_leftover
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_evals, read_steps
from lorascope.train import resume as resuming
from lorascope.train.checkpoint import (
    TrainState,
    committed_steps,
    newest_checkpoint,
    save_checkpoint,
    step_of,
)

DEAD = 2**22 + 1  # no process has an id above 2^22


def save(folder: Path, step: int, keep: int) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    state = TrainState(step=step, best_loss=None, best_step=None, settings={}, scaler={})
    save_checkpoint(folder, state, {"weight": weight}, optimizer, keep=keep)


def damage(folder: Path, step: int) -> None:
    (folder / f"step-{step:08d}" / "adapter.safetensors").write_bytes(b"")


def steps_in(folder: Path) -> list[int]:
    return [step_of(path) for path in committed_steps(folder)]


@pytest.mark.parametrize(("keep", "kept"), [(1, [5]), (2, [4, 5]), (3, [3, 4, 5])])
def test_the_newest_are_kept(tmp_path: Path, keep: int, kept: list[int]) -> None:
    for step in range(1, 6):
        save(tmp_path, step, keep)
    assert steps_in(tmp_path) == kept
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_damaged_newer_one_never_pushes_out_the_one_just_saved(tmp_path: Path) -> None:
    for step in (2, 4):
        save(tmp_path, step, 2)
    damage(tmp_path, 4)
    save(tmp_path, 3, 1)  # a training that went on from 2 and keeps one
    newest, _ = newest_checkpoint(tmp_path)
    assert newest is not None and step_of(newest) == 3
    save(tmp_path, 4, 1)  # what was damaged is replaced when its step comes
    assert steps_in(tmp_path) == [4]
    assert newest_checkpoint(tmp_path) == (tmp_path / "step-00000004", [])


def test_a_damaged_one_does_not_count_among_those_that_are_kept(tmp_path: Path) -> None:
    for step in (2, 4):
        save(tmp_path, step, 2)
    damage(tmp_path, 4)
    save(tmp_path, 6, 2)
    assert steps_in(tmp_path) == [2, 4, 6]
    save(tmp_path, 8, 2)
    assert steps_in(tmp_path) == [6, 8]


def test_an_old_one_is_never_seen_half_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (2, 4):
        save(tmp_path, step, 2)

    def killed(path: Path, **named: Any) -> None:
        if Path(path).name.startswith(".gone-"):
            (Path(path) / "MANIFEST.json").unlink()
            raise SystemExit(137)

    monkeypatch.setattr(commit.shutil, "rmtree", killed)
    with pytest.raises(SystemExit):
        save(tmp_path, 6, 2)
    monkeypatch.undo()
    assert steps_in(tmp_path) == [4, 6]
    assert newest_checkpoint(tmp_path) == (tmp_path / "step-00000006", [])
    commit.remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


class Unplugged(Exception):
    """What the display raises in these tests."""


def stopped_after(run: RunFolder, step: int, train: Any, make_recorder: Any, *settings: str) -> RunFolder:
    def at_step(done: int) -> None:
        if done == step:
            raise Unplugged

    with pytest.raises(Unplugged):
        train(run, *settings, observer=make_recorder(at_step))
    return run


def test_a_checkpoint_that_a_kill_caught_without_its_name_is_found(
    ready_run: Any, train: Any, make_recorder: Any, straight: RunFolder, outcome: Any
) -> None:
    run = stopped_after(ready_run(), 3, train, make_recorder)
    only = run.checkpoints / "step-00000002"
    only.rename(only.with_name(f".old-step-00000002-{DEAD}-0123abcd"))
    with pytest.raises(RunError, match="interrupted here after step 2"):
        train(run)
    only.rename(only.with_name(f".old-step-00000002-{DEAD}-0123abcd"))
    recorder = make_recorder()
    train(run, resume=True, observer=recorder)
    assert "resuming after step 2 of 12" in recorder.notes
    assert outcome(run) == outcome(straight)


def test_a_training_that_is_discarded_goes_all_at_once(
    straight: RunFolder, tmp_path: Path, train: Any, monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    run = RunFolder(Path(shutil.copytree(straight.path, tmp_path / "copy")))

    def killed(path: Path, **named: Any) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(commit.shutil, "rmtree", killed)
        train(run, overwrite=True)
    assert os.listdir(run.stage("train")) == ["checkpoints"]  # no summary without its adapter
    train(run)
    assert outcome(run) == outcome(straight)
    assert [path.name for path in run.path.iterdir() if is_leftover(path)] == []


def test_each_evaluation_has_a_checkpoint_before_it(
    ready_run: Any, train: Any, make_recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_after(ready_run(), 5, train, make_recorder, "train.save_steps=100", "train.eval_steps=4")
    assert steps_in(run.checkpoints) == [4]


def test_what_is_on_disk_already_is_not_written_again(
    ready_run: Any, train: Any, make_recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    original = resuming.save_checkpoint
    monkeypatch.setattr(
        resuming,
        "save_checkpoint",
        lambda folder, state, *given, **named: (
            saved.append(state.step),
            original(folder, state, *given, **named),
        ),
    )
    run = ready_run()
    with pytest.raises(ArithmeticError):
        train(run, "train.learning_rate=1e30", "train.save_steps=1")
    assert saved == sorted(set(saved))


def test_a_log_that_lost_lines_is_told(ready_run: Any, train: Any, make_recorder: Any) -> None:
    run = stopped_after(ready_run(), 5, train, make_recorder)
    lines = run.steps.read_text().splitlines(keepends=True)
    run.steps.write_text("".join([lines[0], lines[1][:9] + "\n", *lines[2:], '{"step": 6, "ep']))
    recorder = make_recorder()
    train(run, resume=True, observer=recorder)
    assert [note for note in recorder.notes if "steps.jsonl" in note] == [
        "note: train/steps.jsonl lacks 1 of the lines of 4 steps, the first is that of step 2"
    ]
    assert [record.step for record in read_steps(run.steps)] == [1, *range(3, 13)]


def test_evaluations_and_answers_that_cannot_be_read_are_told_where_a_training_goes_on(
    ready_run: Any, train: Any, make_recorder: Any
) -> None:
    run = stopped_after(ready_run(), 9, train, make_recorder)  # evaluated after steps 0, 4 and 8
    lines = run.evals.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    run.evals.write_text("".join([lines[0], "torn\n", lines[2]]))
    run.samples.write_text("torn\n")
    recorder = make_recorder()
    train(run, resume=True, observer=recorder)
    assert [note for note in recorder.notes if "damaged" in note] == [
        "note: train/evals.jsonl is damaged: line 2 cannot be read and was passed over; an evaluation "
        "before step 8 that it held is lost",
        "note: train/samples.jsonl is damaged: line 1 cannot be read and was passed over; an answer that "
        "it held is lost",
    ]
    assert [record.step for record in read_evals(run.evals)] == [0, 8, 12]
