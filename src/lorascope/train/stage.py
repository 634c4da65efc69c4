"""train: a checked dataset and a base model -> an adapter. This file is the training loop."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

from lorascope.errors import NumericsError, RunError, command, explain
from lorascope.lm.adapter import save_adapter
from lorascope.lm.fingerprint import base_identity
from lorascope.run.commit import committed_folder, remove_leftovers, verify_folder, write_json
from lorascope.run.current import store_resolved, store_sections
from lorascope.run.dataset import Example, content_hash, load_examples, load_splits
from lorascope.run.folder import RunFolder, require
from lorascope.run.lineage import prepared_data
from lorascope.run.lock import only_writer
from lorascope.run.progress import SILENT, Judge, Observer
from lorascope.run.provenance import Overwrite, StageClock, StageInputs, is_up_to_date
from lorascope.run.recipe import recipe_values
from lorascope.run.records import EvalRecord, StepRecord, append_line, read_json
from lorascope.run.sections import Recipe
from lorascope.train.disk import refuse_full_disk
from lorascope.train.eval_plan import example_ids
from lorascope.train.evaluate import evaluate
from lorascope.train.finite import refuse_broken_update
from lorascope.train.memory import out_of_memory_told
from lorascope.train.prompt_use import measure_prompt_use
from lorascope.train.ranks import join_ranks
from lorascope.train.resume import commit_step, find_start, go_back, make_room, record_failure
from lorascope.train.samples import make_samples
from lorascope.train.schedule import learning_rate
from lorascope.train.signals import Interrupted, StopRequest, stop_requests
from lorascope.train.step import StepResult, optimizer_step
from lorascope.train.summary import finish
from lorascope.train.trackers import Trackers, refuse_missing
from lorascope.train.training import Training, build_training

_SEED_STRIDE = 1_000_003  # keeps the dropout seeds of neighbouring runs apart


def train_run(
    run: RunFolder,
    recipe: Recipe,
    *,
    overwrite: Overwrite = False,
    resume: bool = False,
    observer: Observer = SILENT,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Train an adapter on a prepared and checked run.

    Args:
        run: Prepared and checked.
        recipe: Its sections lora and train decide.
        overwrite: Whether an earlier training may be discarded.
        resume: Continue from the newest whole checkpoint, or start where there is none.
        observer: Told about steps and evaluations.
        judge: Reads the signals after each evaluation, and may end the training as `train.stop_on` says.

    Returns:
        The summary, as in train/summary.json.

    Raises:
        RunError: The run is not prepared or checked, its check failed, or a training is there already.
        NumericsError: A loss, gradient or weight is not finite; the last finished step is committed.
        Interrupted: A signal asked to stop; the last finished step is committed.
    """
    prepared_data(run)
    splits = {name: load_examples(run.dataset, name)[0] for name in load_splits(run.dataset)}
    template = str(read_json(run.template)["sha256"])
    inputs = training_inputs(recipe, splits, template=template)
    if not is_finished(run, inputs, overwrite=overwrite):
        _refuse_unchecked(run, inputs.hashes["dataset"])
    return train_splits(
        run, recipe, splits, inputs, overwrite=overwrite, resume=resume, observer=observer, judge=judge
    )


def train_splits(
    run: RunFolder,
    recipe: Recipe,
    splits: dict[str, list[Example]],
    inputs: StageInputs,
    *,
    overwrite: Overwrite = False,
    resume: bool = False,
    observer: Observer = SILENT,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Train an adapter on given examples, wherever they come from, and write train/.

    Args:
        run: A folder with a config.json; nothing else of it is read.
        recipe: Its sections base, seed, lora and train decide.
        splits: "train", and "validation" where there is one.
        inputs: From `training_inputs`.
        overwrite: Whether an earlier training may be discarded.
        resume: Continue from the newest whole checkpoint, or start where there is none.
        observer: Told about steps and evaluations, on the process that writes.
        judge: As in `train_run`.

    Returns:
        The summary, as in train/summary.json.

    Raises:
        RunError: A training is there already, or going on in another process.
        NumericsError, Interrupted: As in `train_run`.
    """
    clock = StageClock()
    ranks = join_ranks()
    observer = observer if ranks.writes else SILENT
    if is_finished(run, inputs, overwrite=overwrite):
        observer.note("train is up to date")
        if ranks.writes:  # what a kill in the last moment has left to do
            remove_leftovers(run.path)
            store_resolved(run, "train")
        return read_json(run.train_summary)
    with only_writer(run) if ranks.writes else contextlib.nullcontext(), stop_requests() as request:
        refuse_missing(recipe.train.trackers)
        checkpoint = find_start(run, overwrite=overwrite, resume=resume, ranks=ranks, observer=observer)
        with out_of_memory_told(run):
            training = build_training(run, recipe, splits, inputs, ranks, observer)
        training.judge = judge
        refuse_full_disk(training)
        with make_room(run, checkpoint, ranks):  # late, so that what was refused has changed nothing
            if resume:
                go_back(training, checkpoint)  # refuses settings that the checkpoint was not made with
            if ranks.writes:
                training.trackers = Trackers(recipe.train.trackers, run, recipe_values(recipe))
        if ranks.writes:  # now that they are known to work; --resume alone goes on with what was asked for
            store_sections(run, recipe, "base", "seed", "lora", "train")
            write_json(run.eval_sets, example_ids(training.sets))
            training.samples = make_samples(run, recipe.train.sample_prompts, training.tokenizer)
        request.hold()
        try:
            with out_of_memory_told(run):
                _loop(training, request)
        except NumericsError as error:
            record_failure(training, error)
            raise
        finally:
            training.step_log.close()
            if training.trackers is not None:
                training.trackers.close()
        request.release(training.done)
        summary = finish(training, inputs, clock)
        _judge_finished(training)
        return summary


def is_finished(run: RunFolder, inputs: StageInputs, *, overwrite: Overwrite) -> bool:
    """Whether this very training is finished; a summary is the last file that a training writes.

    Raises:
        RunError: One with other inputs is finished and `overwrite` is False, or its adapter was changed.
    """
    if not (run.train_summary.is_file() and is_up_to_date(run, inputs, overwrite=overwrite)):
        return False
    if run.adapter.is_dir():
        verify_folder(run.adapter)
    return True


def training_inputs(
    recipe: Recipe, splits: dict[str, list[Example]], *, template: str | None = None
) -> StageInputs:
    """All that decides a training.

    Args:
        recipe: As asked for.
        splits: The dataset.
        template: Hash of what made its prompts, None where that is not known.
    """
    values = recipe_values(recipe)
    settings = {"base": values["base"], "seed": recipe.seed, "lora": values["lora"], "train": values["train"]}
    hashes = {
        "dataset": content_hash(splits.items()),
        "base weights": base_identity(recipe.base.id, revision=recipe.base.revision),
    }
    return StageInputs(
        stage="train", settings=settings, hashes=hashes | ({"template": template} if template else {})
    )


def _refuse_unchecked(run: RunFolder, dataset: str) -> None:
    """Insist on a check of this very dataset that passed."""
    report = read_json(require(run.check_report, stage="check", run=run))
    if report.get("dataset_sha256") != dataset or not report.get("passed"):
        stale = report.get("dataset_sha256") != dataset
        raise RunError(
            explain(
                "the check is of another dataset" if stale else f"the check failed: {report['first_line']}",
                where=str(run.check_report),
                why="hours of training on data that teaches the wrong thing are lost",
                fix=command("check", run.path)
                + (
                    ""
                    if stale
                    else ", or accept it on record: "
                    + command("train", run.path, "--set", f"check.allow=[{','.join(report['failed'])}]")
                ),
            )
        )


def _loop(training: Training, request: StopRequest) -> None:
    """Train to the last step: step, log, save, evaluate; in this order an evaluation can lose nothing.

    A signal is looked at after each step, once it is saved, and within evaluations.
    """
    section, plan = training.recipe.train, training.plan
    if (
        training.done < plan.num_steps
        and training.done % int(section.eval_steps) == 0
        and (training.done not in training.evaluated)
    ):
        _evaluate(training, request)  # the base model, or what a kill after saving left out
    _judge(training)  # again where a kill came between an evaluation and its judgement
    with training.observer.task("training", plan.num_steps, "steps", already=training.done) as advance:
        while training.done < plan.num_steps and training.stopped is None:
            started = time.monotonic()
            step = training.done + 1
            rate = learning_rate(
                step,
                num_steps=plan.num_steps,
                peak=section.learning_rate,
                warmup=section.warmup,
                schedule=section.schedule,
            )
            examples = [training.train[index] for index in plan.indices(step)]
            seed = training.recipe.seed * _SEED_STRIDE + step
            result = optimizer_step(training.trainee, examples, rate=rate, seed=seed)
            refuse_broken_update(training.trainee, examples)
            training.done = step
            for change in result.retries:
                training.observer.note(f"step {step} ran out of memory and was tried again: {change}")
            _log_step(training, result, rate, len(examples), time.monotonic() - started)
            advance(1)
            last = step == plan.num_steps
            due = last or step % int(section.eval_steps) == 0
            signal = training.ranks.largest(request.number or 0)
            if due or step % int(section.save_steps) == 0 or signal:
                commit_step(training)
            if signal:
                raise Interrupted(signal, step)
            if due and not last:
                _evaluate(training, request)
                _judge(training)
    _commit_adapter(training, training.run.adapter)
    if training.stopped is not None or training.done not in training.evaluated:
        _evaluate(training, request, full=True)
    if training.ranks.writes:
        measure_prompt_use(training)


def _judge(training: Training) -> None:
    """Have the signals read, and note where they end the training: every process learns of it."""
    if training.judge is None or training.done not in training.evaluated:
        return
    found = None
    if training.ranks.writes:
        found = training.judge(training.run, training.recipe.train.stop_on)
        training.observer.judgement(found)
        if training.trackers is not None:
            training.trackers.judgement(found, training.done)
    told = training.ranks.collect([found.stop if found is not None else None])
    training.stopped = next((one for one in told if one is not None), None)


def _judge_finished(training: Training) -> None:
    """Have the signals read a last time, now that the last evaluation and the summary are on record."""
    if training.judge is not None and training.ranks.writes:
        found = training.judge(training.run, ())
        training.observer.judgement(dataclasses.replace(found, stop=None, is_last=True))


def _log_step(training: Training, result: StepResult, rate: float, num_examples: int, seconds: float) -> None:
    record = StepRecord(
        step=training.done,
        epoch=training.epoch,
        loss=result.loss,
        target_tokens=result.target_tokens,
        num_examples=num_examples,
        learning_rate=rate,
        grad_norm=result.grad_norm,
        seconds=round(seconds, 4),
        why=result.why,
    )
    if training.ranks.writes:
        training.step_log.append(record)  # the commit of a checkpoint puts it on disk
        training.observer.step(record)
        if training.trackers is not None:
            training.trackers.step(record)


def _evaluate(training: Training, request: StopRequest, *, full: bool = False) -> None:
    """Score both sets, log it, and keep the adapter if it is the best so far."""
    trainee = training.trainee
    record = evaluate(
        trainee.model,
        training.sets,
        step=training.done,
        epoch=training.epoch,
        full=full,
        precision=training.precision.name,
        pad_id=trainee.pad_id,
        row_tokens=trainee.row_tokens,
        ranks=training.ranks,
        request=request,
        route=trainee.route,
    )
    training.evaluated.add(training.done)
    better = training.note_best(record)
    if training.ranks.writes:
        if better:
            _commit_adapter(training, training.run.adapter_best)
        append_line(training.run.evals, record)
        training.observer.evaluation(record)
        _tell_others(training, record)


def _tell_others(training: Training, record: EvalRecord) -> None:
    """Answer the fixed prompts, and send evaluation and answers to the trackers."""
    answers = training.samples.answer(training.trainee.model, training.done) if training.samples else []
    if training.trackers is not None:
        training.trackers.evaluation(record)
        training.trackers.samples(answers, training.done)


def _commit_adapter(training: Training, target: Path) -> None:
    if training.ranks.writes:
        with committed_folder(target, replace=True) as folder:
            save_adapter(training.trainee.model, training.tokenizer, folder)
