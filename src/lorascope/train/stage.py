"""train: a checked dataset and a base model -> an adapter. This file is the training loop."""

import contextlib
import shutil
import time
from typing import Any

from lorascope.errors import NumericsError, RunError, explain
from lorascope.lm.adapter import save_adapter
from lorascope.run.commit import committed_folder, remove_leftovers, write_json
from lorascope.run.current import store_sections
from lorascope.run.dataset import Example, content_hash, load_examples, load_splits
from lorascope.run.folder import RunFolder, require
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import StageClock, StageInputs, is_up_to_date, record_stage
from lorascope.run.recipe import recipe_values, settings_hash
from lorascope.run.records import EvalRecord, StepRecord, append_line, read_evals, read_json, read_steps, rewrite_lines
from lorascope.run.sections import Recipe
from lorascope.train.checkpoint import TrainState, is_better, load_checkpoint, newest_checkpoint, save_checkpoint
from lorascope.train.evaluate import comparable_loss, evaluate
from lorascope.train.ranks import Ranks, join_ranks
from lorascope.train.schedule import learning_rate
from lorascope.train.signals import Interrupted, StopRequest, stop_requests
from lorascope.train.step import NonFiniteStep, StepResult, optimizer_step
from lorascope.train.training import Training, build_training

_SEED_STRIDE = 1_000_003  # keeps the dropout seeds of neighbouring runs apart


def train_run(
    run: RunFolder, recipe: Recipe, *, overwrite: bool = False, resume: bool = False, observer: Observer = SILENT
) -> dict[str, Any]:
    """Train an adapter.

    Args:
        run: Prepared and checked.
        recipe: Its sections lora and train decide.
        overwrite: Whether an earlier training may be discarded.
        resume: Continue from the newest whole checkpoint, or start where there is none.
        observer: Told about steps and evaluations.

    Returns:
        The summary, as in train/summary.json.

    Raises:
        RunError: The run is not prepared or checked, its check failed, or a training is there already.
        NumericsError: A loss, gradient or weight is not finite; the last finished step is committed.
        Interrupted: A signal asked to stop; the last finished step is committed.
    """
    clock = StageClock()
    require(run.dataset, stage="prepare", run=run)
    ranks = join_ranks()
    splits = {name: load_examples(run.dataset, name)[0] for name in load_splits(run.dataset)}
    inputs = _inputs(run, recipe, splits)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("train is up to date")
        return read_json(run.train_summary)
    _refuse_unchecked(run, inputs.hashes["dataset"])
    _make_room(run, overwrite=overwrite, resume=resume, ranks=ranks)
    training = build_training(run, recipe, splits, inputs, ranks, observer)
    if resume:
        _resume(training)
    with stop_requests() as request:
        try:
            _loop(training, request)
        except NumericsError as error:
            _record_failure(training, error)
            raise
    return _finish(training, inputs, clock)


def _inputs(run: RunFolder, recipe: Recipe, splits: dict[str, list[Example]]) -> StageInputs:
    values = recipe_values(recipe)
    settings = {"base": values["base"], "seed": recipe.seed, "lora": values["lora"], "train": values["train"]}
    hashes = {"dataset": content_hash(splits.items()), "template": read_json(run.template)["sha256"]}
    return StageInputs(stage="train", settings=settings, hashes=hashes)


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
                fix=f"lorascope check {run.path}"
                + ("" if stale else f", or accept it on record: --set check.allow=[{','.join(report['failed'])}]"),
            )
        )


def _make_room(run: RunFolder, *, overwrite: bool, resume: bool, ranks: Ranks) -> None:
    folder = run.stage("train")
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    if checkpoint is not None and not (overwrite or resume):
        raise RunError(
            explain(
                f"a training was interrupted here after {checkpoint.name.replace('-', ' ')}",
                where=str(folder),
                why="starting again would throw those steps away",
                fix=f"lorascope train {run.path} --resume, or --overwrite to start again",
            )
        )
    if ranks.writes:
        if folder.exists() and not (resume and checkpoint is not None):
            shutil.rmtree(folder)
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        for parent in (folder, run.checkpoints):
            remove_leftovers(parent)
    ranks.wait()


def _loop(training: Training, request: StopRequest) -> None:
    """Train to the last step: step, log, save, evaluate, in this order, so that an evaluation can lose nothing."""
    section, plan = training.recipe.train, training.plan
    if training.done < plan.num_steps and training.done % int(section.eval_steps) == 0 and (
        training.done not in training.evaluated
    ):
        _evaluate(training)  # the base model, or what a kill between saving and evaluating left out
    with training.observer.task("training", plan.num_steps, "steps") as advance:
        advance(training.done)
        while training.done < plan.num_steps:
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
            training.done = step
            _log_step(training, result, rate, len(examples), time.monotonic() - started)
            advance(1)
            last = step == plan.num_steps
            due = last or step % int(section.eval_steps) == 0
            if last or step % int(section.save_steps) == 0 or request.number is not None:
                _save(training)
            if request.number is not None and not last:
                raise Interrupted(request.number, step)
            if due and not last:
                _evaluate(training)
    _commit_adapter(training, training.run.adapter)
    if plan.num_steps not in training.evaluated:
        _evaluate(training, full=True)


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
        append_line(training.run.steps, record)
        training.observer.step(record)


def _evaluate(training: Training, *, full: bool = False) -> None:
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
    )
    training.evaluated.add(training.done)
    better = _note_best(training, record)
    if training.ranks.writes:
        if better and training.done:
            _commit_adapter(training, training.run.adapter_best)
        append_line(training.run.evals, record)
        training.observer.evaluation(record)


def _note_best(training: Training, record: EvalRecord) -> bool:
    """Whether this evaluation has the lowest validation loss after step 0, on the examples all evaluations share."""
    if record.validation is None or record.step == 0:
        return False
    loss = comparable_loss(record.validation, training.sets.first)
    if not is_better(loss, training.best_loss):
        return False
    training.best_loss, training.best_step = loss, record.step
    return True


def _save(training: Training) -> None:
    if training.ranks.writes:
        scaler = {k: float(v) for k, v in training.trainee.scaler.state_dict().items()}
        state = TrainState(
            step=training.done,
            best_loss=training.best_loss,
            best_step=training.best_step,
            settings=settings_hash(training.identity),
            scaler=scaler,
        )
        keep = training.recipe.train.keep_checkpoints
        save_checkpoint(training.run.checkpoints, state, training.tensors, training.trainee.optimizer, keep=keep)
    training.ranks.wait()


def _commit_adapter(training: Training, target: Any) -> None:
    if training.ranks.writes:
        with committed_folder(target, replace=True) as folder:
            save_adapter(training.trainee.model, training.tokenizer, folder)


def _resume(training: Training) -> None:
    """Go back to the newest whole checkpoint; the logs are cut back to its step."""
    path, passed_over = newest_checkpoint(training.run.checkpoints)
    for sentence in passed_over:
        training.observer.note(sentence)
    if path is None:
        return
    state = load_checkpoint(path, training.tensors, training.trainee.optimizer, training.identity)
    if state.scaler:
        training.trainee.scaler.load_state_dict(dict(state.scaler))
    training.done, training.best_loss, training.best_step = state.step, state.best_loss, state.best_step
    evals = [record for record in read_evals(training.run.evals) if record.step <= state.step]
    training.evaluated = {record.step for record in evals}
    for record in evals:
        _note_best(training, record)
    if training.ranks.writes:
        steps = [record for record in read_steps(training.run.steps) if record.step <= state.step]
        rewrite_lines(training.run.steps, steps)
        rewrite_lines(training.run.evals, evals)
        training.observer.note(f"resuming after step {state.step} of {training.plan.num_steps}")
    training.ranks.wait()


def _record_failure(training: Training, error: NumericsError) -> None:
    """Commit the last finished step and write down what happened, before the error goes on its way."""
    if not training.ranks.writes:
        return
    if training.done:
        with contextlib.suppress(NumericsError):  # weights that are not finite are not saved; older ones are there
            _save(training)
    failure = {
        "step": training.done + 1,
        "last_good_step": training.done,
        "message": error.message,
        "example_ids": error.example_ids if isinstance(error, NonFiniteStep) else [],
        "learning_rate": training.trainee.optimizer.param_groups[0]["lr"],
        "loss_scale": training.trainee.scaler.state_dict().get("scale"),
    }
    write_json(training.run.train_failure, failure)


def _finish(training: Training, inputs: StageInputs, clock: StageClock) -> dict[str, Any]:
    steps, evals = read_steps(training.run.steps), read_evals(training.run.evals)
    model, seconds = training.trainee.model, sum(record.seconds for record in steps)
    targets = sum(record.target_tokens for record in steps)
    summary = {
        "schema": 1,
        "steps": training.done,
        "epochs": training.epoch,
        "precision": training.precision.name,
        "precision_reason": training.precision.reason,
        "device": next(model.parameters()).device.type,
        "processes": training.ranks.world,
        "trainable_parameters": sum(p.numel() for p in training.trainee.parameters),
        "base_parameters": sum(p.numel() for n, p in model.named_parameters() if "lora_" not in n),
        "target_modules": list(training.recipe.lora.target_modules),
        "adapted_layers": sum(name.endswith("lora_A.default.weight") for name in training.tensors),
        "train_examples": len(training.train),
        "target_tokens": targets,
        "step_seconds": round(seconds, 3),
        "target_tokens_per_s": round(targets / seconds, 2) if seconds else None,
        "examples_per_s": round(sum(record.num_examples for record in steps) / seconds, 3) if seconds else None,
        "first_evaluation": _losses(evals[0]),
        "last_evaluation": _losses(evals[-1]),
        "best_step": training.best_step,
        "best_loss": training.best_loss,
        "best_adapter": training.run.adapter_best.is_dir(),
    }
    if training.ranks.writes:
        write_json(training.run.train_summary, summary)
        training.run.train_failure.unlink(missing_ok=True)
        store_sections(training.run, training.recipe, "base", "seed", "lora", "train")
        values = recipe_values(training.recipe)
        resolved = {"base": values["base"], "seed": values["seed"], "lora": values["lora"], "train": values["train"]}
        facts = {"base_sha256": training.identity["base_sha256"], "precision": training.precision.name}
        record_stage(training.run, inputs, resolved=resolved, clock=clock, facts=facts)
    training.ranks.wait()
    return summary


def _losses(record: EvalRecord) -> dict[str, Any]:
    validation = record.validation
    return {
        "step": record.step,
        "probe_loss": record.probe.loss,
        "validation_loss": validation.loss if validation else None,
        "validation_low": validation.low if validation else None,
        "validation_high": validation.high if validation else None,
    }
