"""What a training will take, planned and then measured: its first steps are done for real and thrown away."""

import shutil
import time
from collections.abc import Sequence
from typing import Any

import torch

from lorascope.engine.memory import peak_memory, reset_peak
from lorascope.errors import NumericsError, explain
from lorascope.lm.fused import part_layers
from lorascope.lm.passes import Route, passes
from lorascope.lm.score import score_examples
from lorascope.run.dataset import Example, load_examples, load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.progress import SILENT, Observer
from lorascope.run.sections import Recipe
from lorascope.train.disk import disk_bytes
from lorascope.train.memory import out_of_memory_told
from lorascope.train.ranks import join_ranks
from lorascope.train.stage import training_inputs
from lorascope.train.step import optimizer_step
from lorascope.train.trainee import Trainee
from lorascope.train.training import Training, build_training

_STEPS = 3
_COMPARED = 16
"""Examples of a step that also take the plain path."""
_SCORED = 32
_LOSS_TOLERANCE = {"float32": 1e-4, "bf16": 0.02, "fp16": 0.02}
_GRADIENT_TOLERANCE = {"float32": 1e-3, "bf16": 0.1, "fp16": 0.1}
"""Relative; ten times what rounding made of GPT-2 small."""


def dry_run(run: RunFolder, recipe: Recipe, *, observer: Observer = SILENT) -> dict[str, Any]:
    """Plan a training, do its first three steps on this machine, and write nothing.

    Args:
        run: Prepared.
        recipe: As asked for.
        observer: Told about precision, engine and progress.

    Returns:
        "plan": steps, tokens, memory and disk; "measured": parity of the fast and the plain path, speed, peak
        memory and the time a whole training takes. Times are seconds, sizes bytes.

    Raises:
        NumericsError: The fast path gives another loss or gradient than the plain one.
        RunError: Memory is not enough, even for one example a pass.
    """
    splits = {name: load_examples(run.dataset, name)[0] for name in load_splits(run.dataset)}
    with out_of_memory_told(run):
        training = build_training(
            run, recipe, splits, training_inputs(recipe, splits), join_ranks(), observer
        )
        steps = _steps(training, observer)
        per_token = _evaluation_seconds(training)
    plan = _plan(training)
    return {
        "plan": plan,
        "measured": {**steps, **_time(training, plan, steps["seconds_per_token"], per_token)},
    }


def _plan(training: Training) -> dict[str, Any]:
    memory, section, plan = training.memory, training.recipe.train, training.plan
    return {
        "train_examples": len(training.train),
        "validation_examples": len(training.sets.validation),
        "steps": plan.num_steps,
        "epochs": plan.epoch_after(plan.num_steps),
        "batch_size": section.batch_size,
        "eval_steps": section.eval_steps,
        "save_steps": section.save_steps,
        "tokens": int(plan.sums([example.num_tokens for example in training.train]).sum()),
        "target_tokens": int(plan.sums([example.num_target_tokens for example in training.train]).sum()),
        "longest_example": max(example.num_tokens for example in training.train),
        "adapter_weights": sum(parameter.numel() for parameter in training.trainee.parameters),
        "rank": training.recipe.lora.rank,
        "target_modules": list(training.recipe.lora.target_modules),
        "engine": training.engine,
        "precision": training.precision.name,
        "device": training.trainee.parameters[0].device.type,
        "row_tokens": memory.row_tokens,
        "checkpoint_activations": memory.recompute,
        "weight_bytes": _weight_bytes(training),
        "activation_bytes": memory.activation_bytes,
        "optimizer_bytes": memory.optimizer_bytes,
        "available_bytes": memory.available_bytes,
        "disk_bytes": disk_bytes(training),
        "disk_free_bytes": shutil.disk_usage(training.run.path).free,
    }


def _weight_bytes(training: Training) -> int:
    seen = {
        p.untyped_storage().data_ptr(): p.untyped_storage().nbytes()
        for p in training.trainee.model.parameters()
    }
    return sum(seen.values())


def _steps(training: Training, observer: Observer) -> dict[str, Any]:
    """Do the first steps: each compared with the plain path before it, and measured."""
    trainee, plan = training.trainee, training.plan
    batches = [
        [training.train[index] for index in plan.indices(step)]
        for step in range(1, min(_STEPS, plan.num_steps) + 1)
    ]
    device, results, seconds, peaks, differences = trainee.parameters[0].device, [], [], [], []
    with observer.task("trying steps", len(batches), "steps") as advance:
        for step, batch in enumerate(batches, start=1):
            differences.append(_differences(trainee, batch[:_COMPARED]))
            reset_peak(device)
            started = time.monotonic()
            results.append(
                optimizer_step(trainee, batch, rate=training.recipe.train.learning_rate, seed=step)
            )
            seconds.append(time.monotonic() - started)
            peaks.append(peak_memory(device))
            advance(1)
    losses, gradients = zip(*differences, strict=True)
    found = {"loss_difference": max(losses), "gradient_difference": max(gradients)}
    _refuse_different(found, training.precision.name)
    warm = slice(1 if len(batches) > 1 else 0, None)  # the first step warms up
    took, seen = sum(seconds[warm]), [example for batch in batches[warm] for example in batch]
    return {
        "steps": len(batches),
        "compared_examples": min(_COMPARED, training.recipe.train.batch_size),
        **found,
        "retries": [change for result in results for change in result.retries],
        "seconds_per_token": took / sum(example.num_tokens for example in seen),
        "target_tokens_per_s": sum(example.num_target_tokens for example in seen) / took,
        "examples_per_s": len(seen) / took,
        "peak_bytes": max(peak for peak in peaks if peak is not None) if None not in peaks else None,
    }


def _differences(trainee: Trainee, examples: Sequence[Example]) -> tuple[float, float]:
    """How far apart loss and gradient of two paths are, relative; without dropout, which each draws anew."""
    trainee.model.eval()
    try:
        longest = max(example.num_tokens for example in examples)
        fast = _gradient(trainee, examples, trainee.route, trainee.row_tokens)
        part_layers(
            trainee.model
        )  # or both would share a fault of the fused layers; the next pass fuses them
        slow = _gradient(trainee, examples, "padded", longest)  # one by one: its logits take the most memory
    finally:
        trainee.model.train()
        trainee.optimizer.zero_grad(set_to_none=True)
    apart = torch.stack([(one - other).norm() for one, other in zip(fast[1], slow[1], strict=True)]).norm()
    length = torch.stack([one.norm() for one in slow[1]]).norm()
    return abs(fast[0] - slow[0]) / max(abs(slow[0]), 1e-12), float(apart / length.clamp_min(1e-30))


def _gradient(
    trainee: Trainee, examples: Sequence[Example], route: Route, row_tokens: int
) -> tuple[float, list[torch.Tensor]]:
    """Loss in nats per target token, and the gradient of each adapter weight, by one path."""
    trainee.optimizer.zero_grad(set_to_none=True)
    targets = sum(example.num_target_tokens for example in examples)
    total = 0.0
    for losses in passes(
        trainee.model,
        examples,
        pad_id=trainee.pad_id,
        row_tokens=row_tokens,
        route=route,
        share=trainee.share,
    ):
        total += float(losses.nll_S.detach().double().sum())
        (losses.nll_S.sum() / targets).backward()  # type: ignore[no-untyped-call]
    return total / targets, [
        torch.zeros_like(one) if one.grad is None else one.grad.detach().float().clone()
        for one in trainee.parameters
    ]


def _refuse_different(found: dict[str, Any], precision: str) -> None:
    """Insist that the fast path computes what the plain one does."""
    loss, gradient = found["loss_difference"], found["gradient_difference"]
    if loss <= _LOSS_TOLERANCE[precision] and gradient <= _GRADIENT_TOLERANCE[precision]:
        return
    raise NumericsError(
        explain(
            f"packed rows differ from padded ones: by {loss:.2g} in the loss, {gradient:.2g} in the gradient",
            where=f"the first steps, in {precision}",
            why="this model computes something that packed rows do not",
            fix="--set train.packing=false, and please report the model",
        )
    )


def _evaluation_seconds(training: Training) -> float:
    """Seconds that scoring takes per token, from a few examples."""
    few = [*training.sets.probe, *training.sets.validation][:_SCORED]
    started = time.monotonic()
    trainee = training.trainee
    score_examples(
        trainee.model, few, pad_id=trainee.pad_id, row_tokens=trainee.row_tokens, route=trainee.route
    )
    return (time.monotonic() - started) / sum(example.num_tokens for example in few)


def _time(training: Training, planned: dict[str, Any], step: float, score: float) -> dict[str, Any]:
    """Seconds of all steps and all evaluations, at what a token of each was measured to take."""
    plan, sets, every = training.plan, training.sets, int(training.recipe.train.eval_steps)
    during = sum(one.num_tokens for part in (sets.probe, sets.validation) for one in part[: sets.first])
    last = sum(one.num_tokens for part in (sets.probe, sets.validation) for one in part)
    rounds = (plan.num_steps - 1) // every + 1  # before the first step and during; the last scores all
    return {
        "training_seconds": step * planned["tokens"],
        "evaluation_seconds": score * (rounds * during + last),
    }
