"""What lets a training stop at any moment and go on: room, commits, going back, the record of a failure."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorascope.errors import NumericsError, RunError, explain
from lorascope.run.commit import make_folder, remove_leftovers, set_aside, write_json
from lorascope.run.folder import RunFolder
from lorascope.run.gaps import lacking_steps
from lorascope.run.progress import Observer
from lorascope.run.provenance import Overwrite
from lorascope.run.records import (
    passed_over,
    read_evals,
    read_lines,
    read_steps,
    rewrite_lines,
)
from lorascope.train.checkpoint import (
    TrainState,
    changed_layout,
    committed_steps,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
    step_of,
)
from lorascope.train.ranks import Ranks
from lorascope.train.samples import SampleRecord
from lorascope.train.step import NonFiniteStep
from lorascope.train.training import Training


def find_start(
    run: RunFolder, *, overwrite: Overwrite, resume: bool, ranks: Ranks, observer: Observer
) -> Path | None:
    """Find the checkpoint a training goes on from; None for one that starts.

    Raises:
        RunError: An unfinished training is there, and neither `overwrite` nor `resume` says what to do.
    """
    folder = run.stage("train")
    if ranks.writes:  # first: a kill may have taken a checkpoint's name while it was being replaced
        for parent in (run.path, folder, run.checkpoints):
            remove_leftovers(parent)
    ranks.wait()
    steps = committed_steps(run.checkpoints)
    if steps and not (overwrite or resume):
        raise RunError(
            explain(
                f"a training was interrupted here after step {step_of(steps[-1])}",
                where=str(folder),
                why="starting again would throw those steps away",
                fix="add --resume to continue, or --overwrite to start again",
            )
        )
    checkpoint, passed_over = newest_checkpoint(run.checkpoints) if resume else (None, [])
    for sentence in passed_over:
        observer.note(sentence)
    if resume and steps and checkpoint is None and not overwrite:
        raise RunError(
            explain(
                f"none of the {len(steps)} checkpoints can be used: {passed_over[0]}",
                where=str(run.checkpoints),
                why="what is left of the training would be thrown away by starting again",
                fix="restore the checkpoints from a copy, or add --overwrite to start again",
            )
        )
    if resume and not steps:
        observer.note(
            "nothing to resume: no step was committed, so it starts at step 1 with the settings that "
            "config.json holds; what --set gave to a training that ended before its first step has to be "
            "given again"
        )
    ranks.wait()  # every process has looked before one of them changes anything
    return checkpoint


@contextlib.contextmanager
def make_room(run: RunFolder, checkpoint: Path | None, ranks: Ranks) -> Iterator[None]:
    """Empty train/ for a training that starts, or leave it as it is for one that goes on.

    On an exception within, an older training is back, as it was.
    """
    starts = ranks.writes and checkpoint is None
    with set_aside(run.stage("train")) if starts else contextlib.nullcontext():
        if ranks.writes:
            make_folder(run.checkpoints)
        ranks.wait()
        yield


def commit_step(training: Training) -> None:
    """Commit the state after the last finished step; every process waits until it is on disk."""
    if training.ranks.writes:
        _write(training)
    training.ranks.wait()


def _write(training: Training) -> None:
    """Save the state, unless it is the one that this training went on from, or has just saved."""
    if training.done == training.saved:
        return
    state = TrainState(
        step=training.done,
        best_loss=training.best_loss,
        best_step=training.best_step,
        settings=training.identity,
        scaler={key: float(value) for key, value in training.trainee.scaler.state_dict().items()},
        row_tokens=training.trainee.row_tokens,
        recompute=bool(training.trainee.recompute),
    )
    training.step_log.to_disk()  # whoever goes on from this checkpoint needs every line before it
    keep = training.recipe.train.keep_checkpoints
    save_checkpoint(training.run.checkpoints, state, training.tensors, training.trainee.optimizer, keep=keep)
    training.saved = training.done


def go_back(training: Training, checkpoint: Path | None) -> None:
    """Go back to a checkpoint from `find_start`, if there is one; the logs are cut back to its step."""
    if checkpoint is None:
        return
    state = load_checkpoint(checkpoint, training.tensors, training.trainee.optimizer, training.identity)
    if state.scaler:
        training.trainee.scaler.load_state_dict(dict(state.scaler))
    others = changed_layout(state.settings, training.identity)
    if others:
        training.observer.note(
            f"note: {'; '.join(others)}: each step has the same examples, but sums are rounded in another "
            "order, and dropout draws other values than it would have in the training that was stopped"
        )
    else:
        training.trainee.lay_out(state.row_tokens, state.recompute)
    training.done, training.best_loss, training.best_step = state.step, state.best_loss, state.best_step
    training.saved = state.step
    broken: list[int] = []
    evals = [record for record in read_evals(training.run.evals, broken) if record.step <= state.step]
    if broken:
        told = passed_over(training.run.evals, broken)
        training.observer.note(f"note: {told}; an evaluation before step {state.step} that it held is lost")
    training.evaluated = {record.step for record in evals}
    for record in evals:
        training.note_best(record)
    training.ranks.wait()  # every process has read the logs before one of them rewrites them
    if training.ranks.writes:
        steps = [record for record in read_steps(training.run.steps) if record.step <= state.step]
        written = sorted({record.step for record in steps})  # each was on disk before its step was committed
        for told in lacking_steps(training.run.steps, written, state.step):
            training.observer.note(f"note: {told}")
        rewrite_lines(training.run.steps, steps)
        rewrite_lines(training.run.evals, evals)
        _cut_samples(training.run, {record.step for record in evals}, training.observer)
    training.observer.note(f"resuming after step {state.step} of {training.plan.num_steps}")
    training.ranks.wait()


def _cut_samples(run: RunFolder, evaluated: set[int], observer: Observer) -> None:
    """Keep the answers of evaluations that stand; the others are asked again."""
    if run.samples.is_file():
        broken: list[int] = []
        told = [SampleRecord(**line) for line in read_lines(run.samples, broken)]
        if broken:
            observer.note(f"note: {passed_over(run.samples, broken)}; an answer that it held is lost")
        rewrite_lines(run.samples, [one for one in told if one.step in evaluated])


def record_failure(training: Training, error: NumericsError) -> None:
    """Commit the last finished step and write down what happened, before the error goes on its way.

    No process waits here for another: the error may have come to one of them alone.
    """
    if not training.ranks.writes:
        return
    if training.done:
        try:
            _write(training)
        except (NumericsError, RunError) as refused:  # weights like these, or a full disk: older commits stay
            training.observer.note(f"step {training.done} is not saved: {refused.message.splitlines()[0]}")
    saved, _ = newest_checkpoint(training.run.checkpoints)
    failure: dict[str, Any] = {
        "step": training.done + 1 if isinstance(error, NonFiniteStep) else training.done,
        "last_good_step": 0 if saved is None else step_of(saved),
        "message": error.message,
        "example_ids": error.example_ids if isinstance(error, NonFiniteStep) else [],
        "learning_rate": training.trainee.optimizer.param_groups[0]["lr"],
        "loss_scale": training.trainee.scaler.state_dict().get("scale"),
    }
    try:
        write_json(training.run.train_failure, failure)
    except RunError as refused:  # what stopped the training is worth more than this file
        training.observer.note(refused.message.splitlines()[0])
