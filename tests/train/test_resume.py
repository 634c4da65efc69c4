"""A training that was stopped anywhere and resumed equals one that was not, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import RunError
from lorascope.run.current import recipe_of, unsettled
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json, read_steps
from lorascope.train.checkpoint import committed_steps, newest_checkpoint
from lorascope.train.signals import Interrupted

pytestmark = pytest.mark.end_to_end


class Unplugged(Exception):
    """What the display raises in these tests."""


def stop_after(step: int) -> Callable[[int], None]:
    def at_step(done: int) -> None:
        if done == step:
            raise Unplugged

    return at_step


def test_two_trainings_with_one_seed_are_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any
) -> None:
    run = ready_run()
    train(run)
    assert outcome(run) == outcome(straight)


def test_another_seed_is_another_adapter(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any
) -> None:
    run = ready_run()
    train(run, "seed=1")
    assert outcome(run)["adapter"] != outcome(straight)["adapter"]


# 1: nothing is saved yet. 4: saved before, evaluated after. 6: the short last step of an epoch. 12: the end.
@pytest.mark.parametrize("step", [1, 4, 6, 7, 12])
def test_a_training_that_died_after_a_step_resumes_to_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any, step: int
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(step)))
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_a_training_that_died_again_and_again_resumes_to_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run = ready_run()
    for step in (3, 5, 6, 9, 12):
        with pytest.raises(Unplugged):
            train(run, resume=True, observer=make_recorder(stop_after(step)))
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_the_lines_of_all_steps_are_on_disk_before_their_checkpoint_has_a_name(
    ready_run: Any, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A power cut takes what was only written; a checkpoint without the lines before it could not go on.
    run, on_disk, named = ready_run(), [0], {}
    fsync, rename = os.fsync, os.rename

    def flushing(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).name == "steps.jsonl":
            on_disk.append(len(read_steps(run.steps)))
        fsync(descriptor)

    def renaming(source: Path, target: Path) -> None:
        if Path(target).name.startswith("step-"):
            named[int(Path(target).name.removeprefix("step-"))] = on_disk[-1]
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "rename", renaming)
    train(run)
    assert named == {step: step for step in (2, 4, 6, 8, 10, 12)}  # train.save_steps=2


def test_settings_that_decide_no_number_may_change_on_the_way(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(6)))
    train(run, "train.keep_checkpoints=1", "train.save_steps=3", "train.stop_on=[diverging]", resume=True)
    assert outcome(run) == outcome(straight)


def test_rows_may_get_shorter_on_the_way_and_the_steps_stay_the_same(
    ready_run: Any, train: Any, make_recorder: Any
) -> None:
    whole, run, recorder = ready_run("whole"), ready_run("run"), make_recorder()
    train(whole, "lora.dropout=0")
    with pytest.raises(Unplugged):
        train(run, "lora.dropout=0", observer=make_recorder(stop_after(6)))
    train(run, "train.row_tokens=64", resume=True, observer=recorder)
    assert [told for told in recorder.notes if "train.row_tokens was 512, now 64" in told]
    # Sums of float32 in another order: the same steps but for rounding.
    expected = [step.loss for step in read_steps(whole.steps)]
    assert [step.loss for step in read_steps(run.steps)] == pytest.approx(expected, rel=1e-5)
    assert read_json(run.config)["train"]["row_tokens"] == 64


def test_a_training_that_died_in_an_evaluation_resumes_to_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run, recorder = ready_run(), make_recorder()

    def evaluation(record: Any) -> None:
        if record.step == 8:
            raise Unplugged

    recorder.evaluation = evaluation
    with pytest.raises(Unplugged):
        train(run, observer=recorder)
    # The kill fell before the evaluation was logged: the last line goes.
    lines = run.evals.read_text().splitlines(keepends=True)
    run.evals.write_text("".join(lines[:-1]))
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_commits_the_step_and_the_rest_resumes_to_the_same_bytes(
    ready_run: Any,
    train: Any,
    straight: RunFolder,
    outcome: Any,
    make_recorder: Any,
    number: signal.Signals,
    code: int,
) -> None:
    run, before = ready_run(), signal.getsignal(number)

    def at_step(step: int) -> None:
        if step == 5:  # no multiple of save_steps: the commit is the signal's
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=f"{number.name} after step 5") as stopped:
        train(run, observer=make_recorder(at_step))
    assert stopped.value.code == code
    assert signal.getsignal(number) is before
    assert committed_steps(run.checkpoints)[-1].name == "step-00000005"
    assert not run.adapter.exists()  # nothing that looks finished
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_resume_without_a_commit_starts_and_says_so(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run, recorder = ready_run(), make_recorder()
    train(run, resume=True, observer=recorder)
    assert outcome(run) == outcome(straight)
    assert [told for told in recorder.notes if told.startswith("nothing to resume: no step was committed")]


def test_an_unfinished_training_is_not_started_again_by_accident(
    ready_run: Any, train: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(7)))
    steps = run.steps.read_bytes()
    with pytest.raises(RunError, match=r"interrupted here after step 6(.|\n)*--resume(.|\n)*--overwrite"):
        train(run)
    assert run.steps.read_bytes() == steps


def test_overwrite_starts_again(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(7)))
    recorder = make_recorder()
    train(run, overwrite=True, observer=recorder)
    assert recorder.steps[0].step == 1
    assert outcome(run) == outcome(straight)


def test_what_was_auto_is_settled_anew_by_another_training(
    straight: RunFolder, tmp_path: Path, train: Any
) -> None:
    run = RunFolder(Path(shutil.copytree(straight.path, tmp_path / "copy")))
    assert isinstance(read_json(run.config)["lora"]["target_modules"], list)  # settled by the first
    assert unsettled(run, recipe_of(run), "train").lora.target_modules == "auto"
    # What was asked for, and what is changed now, stays.
    changed = recipe_of(run, ["train.row_tokens=64"])
    again = unsettled(run, changed, "train")
    assert (again.train.row_tokens, again.train.eval_steps) == (64, 4)


def test_an_adapter_that_was_damaged_is_not_up_to_date(
    straight: RunFolder, tmp_path: Path, train: Any
) -> None:
    run = RunFolder(Path(shutil.copytree(straight.path, tmp_path / "copy")))
    weights = run.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="adapter_model.safetensors"):
        train(run)


def test_an_adapters_configuration_is_the_same_bytes_too(straight: RunFolder) -> None:
    config = read_json(straight.adapter / "adapter_config.json")
    assert config["target_modules"] == sorted(config["target_modules"])


def test_a_finished_training_is_up_to_date_and_other_settings_are_refused(
    straight: RunFolder, tmp_path: Path, train: Any, make_recorder: Any
) -> None:
    run = RunFolder(Path(shutil.copytree(straight.path, tmp_path / "copy")))
    recorder = make_recorder()
    assert train(run, observer=recorder)["steps"] == 12
    assert recorder.notes == ["train is up to date"]
    with pytest.raises(RunError, match=r"learning_rate was 0.01, now 0.02(.|\n)*--overwrite"):
        train(run, "train.learning_rate=0.02")


def test_a_training_that_was_to_replace_a_finished_one_is_not_taken_for_it(
    straight: RunFolder, tmp_path: Path, train: Any, outcome: Any, make_recorder: Any
) -> None:
    run = RunFolder(Path(shutil.copytree(straight.path, tmp_path / "copy")))
    with pytest.raises(Unplugged):
        train(run, overwrite=True, observer=make_recorder(stop_after(5)))
    with pytest.raises(RunError, match="interrupted here after step 4"):
        train(run)
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_a_resumed_training_must_have_the_settings_it_was_started_with(
    ready_run: Any, train: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(3)))
    with pytest.raises(RunError, match=r"cannot be resumed(.|\n)*train.learning_rate was 0.\d+, now 0.02"):
        train(run, "train.learning_rate=0.02", resume=True)
    train(run, resume=True)  # the refused command has changed no setting
    assert read_steps(run.steps)[-1].learning_rate < 0.02


@pytest.mark.parametrize(
    "file", ["adapter.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"]
)
@pytest.mark.parametrize("fault", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over_and_named(
    straight: RunFolder, tmp_path: Path, file: str, fault: str
) -> None:
    folder = Path(shutil.copytree(straight.checkpoints, tmp_path / "checkpoints"))
    damage(folder / "step-00000012" / file, fault)
    newest, passed_over = newest_checkpoint(folder)
    assert newest == folder / "step-00000010"
    assert len(passed_over) == 1
    assert passed_over[0].startswith("the checkpoint of step 12 is passed over: ") and file in passed_over[0]


def damage(path: Path, fault: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    if fault == "gone":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(whole[:middle])
    else:
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])


def test_resuming_past_a_damaged_checkpoint_comes_to_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(9)))
    damage(run.checkpoints / "step-00000008" / "adapter.safetensors", "flipped")
    recorder = make_recorder()
    train(run, resume=True, observer=recorder)
    assert any(note.startswith("the checkpoint of step 8 is passed over") for note in recorder.notes)
    assert "resuming after step 6 of 12" in recorder.notes
    assert outcome(run) == outcome(straight)


def test_when_all_checkpoints_are_damaged_nothing_is_thrown_away_without_being_told_to(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, observer=make_recorder(stop_after(5)))
    for path in committed_steps(run.checkpoints):
        damage(path / "state.json", "flipped")
    with pytest.raises(RunError, match="--resume"):  # they may yet be restored from a copy
        train(run)
    before = sorted(path.relative_to(run.path) for path in run.stage("train").rglob("*"))
    recorder = make_recorder()
    with pytest.raises(RunError, match="none of the 2 checkpoints"):
        train(run, resume=True, observer=recorder)
    named = [note.partition(" is passed over")[0] for note in recorder.notes if "is passed over" in note]
    assert named == ["the checkpoint of step 4", "the checkpoint of step 2"]
    assert sorted(path.relative_to(run.path) for path in run.stage("train").rglob("*")) == before
    train(run, overwrite=True)
    assert outcome(run) == outcome(straight)


def test_only_the_newest_checkpoints_are_kept(straight: RunFolder) -> None:
    assert [path.name for path in committed_steps(straight.checkpoints)] == ["step-00000010", "step-00000012"]


def start(run: RunFolder, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lorascope", "train", str(run.path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_steps(run: RunFolder, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if run.steps.is_file() and run.steps.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)
    pytest.fail(f"the process ended or hung first: {process.communicate()[1].decode()}")


@pytest.mark.slow
def test_a_terminated_process_exits_143_and_names_the_way_on(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any
) -> None:
    run = ready_run()
    process = start(run)
    wait_for_steps(run, 3, process)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"lorascope train {run.path} --resume" in said.decode()
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


@pytest.mark.slow
def test_a_process_killed_twice_resumes_to_the_same_bytes(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any
) -> None:
    run = ready_run()
    for count, arguments in ((3, ()), (7, ("--resume",))):
        process = start(run, *arguments)
        wait_for_steps(run, count, process)
        process.kill()
        process.communicate()
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_resume_alone_goes_on_with_the_settings_that_were_asked_for(
    ready_run: Any, train: Any, make_recorder: Any
) -> None:
    run = ready_run()
    with pytest.raises(Unplugged):
        train(run, "train.weight_decay=0.5", observer=make_recorder(stop_after(5)))
    summary = train(run, resume=True)  # no settings named again
    assert summary["steps"] == 12
    assert json.loads(run.config.read_text())["train"]["weight_decay"] == 0.5


@pytest.mark.parametrize("place", ["record_stage", "store_resolved"])
def test_a_training_that_died_while_it_was_recorded_is_finished_by_resume(
    ready_run: Any,
    train: Any,
    straight: RunFolder,
    outcome: Any,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    from lorascope.train import summary

    def unplugged(*given: Any, **named: Any) -> None:
        raise Unplugged

    run = ready_run()
    with monkeypatch.context() as patched, pytest.raises(Unplugged):
        patched.setattr(summary, place, unplugged)
        train(run)
    train(run, resume=True)
    assert outcome(run) == outcome(straight)
    ours, theirs = read_json(run.config), read_json(straight.config)
    assert (ours["train"], ours["lora"]) == (theirs["train"], theirs["lora"])  # no "auto" is left
