"""What a finished training came to: train/summary.json, and its part of config.json and provenance.json."""

from typing import Any

from lorascope.run.commit import disk_errors, write_json
from lorascope.run.current import store_resolved
from lorascope.run.provenance import StageClock, StageInputs, record_stage
from lorascope.run.recipe import recipe_values
from lorascope.run.records import EvalRecord, read_evals, read_steps
from lorascope.train.training import Training


def finish(training: Training, inputs: StageInputs, clock: StageClock) -> dict[str, Any]:
    """Write down what a training came to, once its last evaluation is done.

    Args:
        training: After its last step.
        inputs: What decided it.
        clock: Started with the stage.

    Returns:
        The summary, as in train/summary.json.
    """
    steps, evals = read_steps(training.run.steps), read_evals(training.run.evals)
    model, seconds = training.trainee.model, sum(record.seconds for record in steps)
    targets = sum(record.target_tokens for record in steps)
    summary = {
        "schema": 1,
        "steps": training.done,
        "epochs": training.epoch,
        "precision": training.precision.name,
        "precision_reason": training.precision.reason,
        "engine": training.engine,
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
        "examples_per_s": round(sum(record.num_examples for record in steps) / seconds, 3)
        if seconds
        else None,
        "first_evaluation": _losses(evals[0]),
        "last_evaluation": _losses(evals[-1]),
        "stopped": None if training.stopped is None else {"step": training.done, "why": training.stopped},
        "best_step": training.best_step,
        "best_loss": training.best_loss,
        "best_adapter": training.run.adapter_best.is_dir(),
    }
    if training.ranks.writes:
        write_json(training.run.train_summary, summary)
        with disk_errors(training.run.train_failure):
            training.run.train_failure.unlink(missing_ok=True)
        values = recipe_values(training.recipe)
        resolved = {
            "base": values["base"],
            "seed": values["seed"],
            "lora": values["lora"],
            "train": values["train"],
        }
        facts = {"base_sha256": training.identity["base_sha256"], "precision": training.precision.name}
        record_stage(training.run, inputs, resolved=resolved, clock=clock, facts=facts)
        store_resolved(training.run, "train")
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
