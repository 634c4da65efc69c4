"""Everything a training needs, loaded and settled before its first step."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lorascope.engine.precision import Precision, choose_device, choose_precision
from lorascope.engine.threads import take_back_threads
from lorascope.errors import DataError, explain
from lorascope.lm.batches import pad_id_of
from lorascope.lm.fingerprint import base_fingerprint
from lorascope.lm.load import load_tokenizer
from lorascope.lm.score import refuse_unfit
from lorascope.lm.template_record import load_template
from lorascope.run.dataset import Example
from lorascope.run.folder import RunFolder
from lorascope.run.progress import Judge, Observer
from lorascope.run.provenance import StageInputs
from lorascope.run.records import EvalRecord, LineLog
from lorascope.run.sections import Recipe, TrainSection
from lorascope.run.texts import read_sources
from lorascope.train.eval_plan import EvalSets, comparable_loss, draw_eval_sets, plan_evaluations
from lorascope.train.memory import MemoryPlan
from lorascope.train.optimizers import optimizer_told
from lorascope.train.plan import StepPlan, make_plan
from lorascope.train.ranks import Ranks, one_of_several
from lorascope.train.samples import Samples
from lorascope.train.trackers import Trackers
from lorascope.train.trainee import Trainee, build_model, build_trainee, engine_told


@dataclass(slots=True, kw_only=True)
class Training:
    """Everything the loop holds.

    Attributes:
        run: Where it writes.
        recipe: With every "auto" of lora and train resolved.
        trainee: Model and optimizer.
        tokenizer: Saved beside the adapter.
        train: The training split.
        sets: What is evaluated.
        plan: Which examples each step sees.
        precision: Of the forward pass.
        identity: All that decides the result; a resumed training must have the same.
        step_log: train/steps.jsonl; written by the process that writes.
        observer: Told about progress.
        engine: How examples run through the model, in words.
        memory: What was planned for it.
        best_loss: Lowest validation loss so far.
        best_step: Its step.
        done: Steps done.
        saved: Step of the newest checkpoint; 0 before the first.
        evaluated: Steps after which both sets were scored.
        judge: Reads the signals after each evaluation; None where nobody does.
        stopped: Why training ended before its last step; None where it did not.
        samples: Prompts that are answered at each evaluation, on the process that writes.
        trackers: Where else the log goes, on the process that writes.
    """

    run: RunFolder
    recipe: Recipe
    trainee: Trainee
    tokenizer: Any
    train: list[Example]
    sets: EvalSets
    plan: StepPlan
    precision: Precision
    identity: dict[str, Any]
    step_log: LineLog
    observer: Observer
    engine: str
    memory: MemoryPlan
    best_loss: float | None = None
    best_step: int | None = None
    done: int = 0
    saved: int = 0
    evaluated: set[int] = field(default_factory=set)
    judge: Judge | None = None
    stopped: str | None = None
    samples: Samples | None = None
    trackers: Trackers | None = None

    @property
    def ranks(self) -> Ranks:
        """The processes that train together."""
        return self.trainee.ranks

    @property
    def tensors(self) -> dict[str, torch.nn.Parameter]:
        """The trainable parameters by name."""
        return {name: p for name, p in self.trainee.model.named_parameters() if p.requires_grad}

    @property
    def epoch(self) -> float:
        """Passes over the data so far."""
        return self.plan.epoch_after(self.done)

    def note_best(self, record: EvalRecord) -> bool:
        """Remember the lowest validation loss after step 0, on the examples all evaluations share.

        Returns:
            Whether this evaluation has it.
        """
        if record.validation is None or record.step == 0:
            return False
        loss = comparable_loss(record.validation, self.sets.first)
        if self.best_loss is not None and loss >= self.best_loss:
            return False
        self.best_loss, self.best_step = loss, record.step
        return True


def build_training(
    run: RunFolder,
    recipe: Recipe,
    splits: dict[str, list[Example]],
    inputs: StageInputs,
    ranks: Ranks,
    observer: Observer,
) -> Training:
    """Load the base model, put a fresh adapter on it, and settle every "auto".

    Args:
        run: Prepared and checked.
        recipe: As asked for.
        splits: The dataset.
        inputs: What decides the result.
        ranks: The processes that train together.
        observer: Told which precision, device and layout are used.

    Raises:
        ModelError: Base model, tokenizer and adapter settings do not fit.
        DataError: No example has a target token, or one does not fit the base model.
        ConfigError: The optimizer asked for is not installed.
    """
    device = choose_device()
    precision = choose_precision(recipe.train.precision, device)
    threads = take_back_threads()
    told = f"training in {precision.name} on {device.type}: {precision.reason}"
    _tell(ranks, observer, told, threads, one_of_several(os.environ))
    tokenizer = _tokenizer_of(run, recipe)
    train = _trainable(splits["train"])
    model, targets = build_model(recipe, precision, device)
    for name, examples in splits.items():
        refuse_unfit(model, examples, f"split {name}")
    plan = make_plan(
        num_examples=len(train),
        batch_size=recipe.train.batch_size,
        epochs=recipe.train.epochs,
        seed=recipe.seed,
    )
    engine = engine_told(recipe.train, model, train, pad_id_of(tokenizer))
    trainee, memory = build_trainee(recipe, model, precision, train, plan, pad_id_of(tokenizer), ranks)
    room = memory.told and f"memory: {memory.told}"
    _tell(ranks, observer, f"engine: {engine}", room, optimizer_told(recipe.train.optimizer, device))
    sets = draw_eval_sets(
        train,
        splits.get("validation", []),
        eval_examples=recipe.train.eval_examples,
        seed=recipe.seed,
    )
    section = _resolved(recipe, precision, memory, plan, sets, train)
    sets = replace(sets, first=int(section.eval_examples), sources=read_sources(run.examples))
    lora = recipe.lora.model_copy(update={"target_modules": tuple(targets)})
    identity = {
        **inputs.settings,
        **inputs.hashes,
        "precision": precision.name,
        "base_sha256": base_fingerprint(model),
    }
    return Training(
        run=run,
        recipe=recipe.model_copy(update={"train": section, "lora": lora}),
        trainee=trainee,
        tokenizer=tokenizer,
        train=train,
        sets=sets,
        plan=plan,
        precision=precision,
        identity=identity,
        step_log=LineLog(run.steps),
        observer=observer,
        engine=engine,
        memory=memory,
    )


def _tell(ranks: Ranks, observer: Observer, *told: str | None) -> None:
    """Note what there is to say; one process says it for all."""
    for text in told:
        if text and ranks.writes:
            observer.note(text)


def _tokenizer_of(run: RunFolder, recipe: Recipe) -> Any:
    """The base's tokenizer, with the chat template that the data was written with."""
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    if run.template.is_file():
        template = load_template(run.template, tokenizer)  # refuses another tokenizer than the data's
        tokenizer.chat_template = template.chat_template or tokenizer.chat_template  # a file's goes along
    return tokenizer


def _trainable(examples: list[Example]) -> list[Example]:
    train = [example for example in examples if example.num_target_tokens]
    if not train:
        raise DataError(
            explain(
                "no training example has a target token",
                where="the training split",
                why="there is nothing to learn",
                fix="lorascope check shows the rows",
            )
        )
    return train


def _resolved(
    recipe: Recipe,
    precision: Precision,
    memory: MemoryPlan,
    plan: StepPlan,
    sets: EvalSets,
    train: list[Example],
) -> TrainSection:
    """The section train with every "auto" settled."""
    asked, eval_steps, eval_examples = recipe.train, recipe.train.eval_steps, sets.first
    if eval_steps == "auto":
        eval_steps, eval_examples = plan_evaluations(
            sets,
            may_shrink=asked.eval_examples == "auto",
            num_steps=plan.num_steps,
            train_tokens=sum(one.num_tokens for one in train) * plan.num_steps // plan.steps_per_epoch,
        )
    settled = {
        "row_tokens": memory.row_tokens,
        "checkpoint_activations": memory.recompute,
        "precision": precision.name,
        "eval_steps": eval_steps,
        "eval_examples": eval_examples,
        "save_steps": eval_steps if asked.save_steps == "auto" else asked.save_steps,
    }
    return asked.model_copy(update=settled)
