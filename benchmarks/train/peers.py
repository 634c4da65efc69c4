"""A peer's process: TRL's SFTTrainer or transformers' Trainer on the shared tokens. Runs in the peers' venv.

    python benchmarks/train/peers.py JOB

Their own loops run as they are. A step begins when the parent asks for it and ends with their own callback;
examples, tokens and the loss are counted where they hand a batch to the model.
"""

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conversation import peak_gib, report, wait_for_order
from model import load_model
from reference import padded
from work import CLASSIC_LENGTH, IGNORE, MAX_NORM, RATE, SEED, Job, Tokens, load_rows, read_job, spread

FP32_WEIGHTS = ("trainer", "classic", "trl-mixed")
"""Kinds whose base stays float32 in a bf16 run, with autocast over it."""


def as_dataset(rows: Sequence[Tokens]) -> Any:
    """The rows as `datasets` holds them."""
    import datasets

    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(
        [{"input_ids": row.ids.tolist(), "labels": row.labels.tolist()} for row in rows]
    )


def grouped(rows: Sequence[Tokens], batch: int) -> list[Tokens]:
    """The order of train_sampling_strategy="group_by_length", its steps taken evenly from short to long.

    The sampler begins with the longest examples of all and goes down, so its first few steps would stand for
    nothing but themselves.
    """
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    generator = torch.Generator().manual_seed(SEED)
    order = get_length_grouped_indices([len(row.ids) for row in rows], batch, generator=generator)
    steps = [order[start : start + batch] for start in range(0, len(order) - batch + 1, batch)]
    steps.sort(key=lambda step: sum(len(rows[place].ids) for place in step))
    return [rows[place] for number in spread(len(steps)) for place in steps[number]]


def arguments(job: Job, rows: Sequence[Tokens]) -> dict[str, Any]:
    """What TrainingArguments and SFTConfig have in common."""
    micro = min(job.batch, job.micro)
    accumulated = max(1, job.batch // micro)
    if job.kind == "trl-packing":
        tokens = job.batch * sum(len(row.ids) for row in rows) / len(rows)
        micro, accumulated = 1, max(1, round(tokens / job.length))
    return {
        "output_dir": str(Path(job.folder) / "out"),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulated,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": MAX_NORM,
        "num_train_epochs": 100,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": job.precision == "bf16",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "seed": SEED,
        # Packed rows begin with the longest examples; a random order, TRL's default, is the fair one.
        "train_sampling_strategy": "random" if job.kind == "trl-packing" else "sequential",
    }


def trainer_of(job: Job, rows: Sequence[Tokens], callback: Any) -> Any:
    """The peer, ready to train."""
    from transformers import AutoTokenizer, Trainer, TrainingArguments
    from trl import SFTConfig, SFTTrainer

    precision = "float32" if job.kind in FP32_WEIGHTS else job.precision
    model, common = load_model(job, precision=precision), arguments(job, rows)
    tokenizer = AutoTokenizer.from_pretrained(Path(job.folder) / "base")
    tokenizer.pad_token = tokenizer.eos_token
    ordered = grouped(rows, job.batch) if job.kind == "trl-length" else rows
    given = {"model": model, "train_dataset": as_dataset(ordered), "callbacks": [callback]}
    if not job.kind.startswith("trl"):
        length = CLASSIC_LENGTH if job.kind == "classic" else None

        def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
            import numpy as np

            few = [Tokens(np.array(one["input_ids"]), np.array(one["labels"])) for one in batch]
            return padded(few, tokenizer.pad_token_id, length)

        return Trainer(args=TrainingArguments(**common), data_collator=collate, **given)
    packing = job.kind == "trl-packing"
    config = SFTConfig(
        **common,
        max_length=job.length if packing else None,
        padding_free=job.kind == "trl-free",
        packing=packing,
    )
    return SFTTrainer(args=config, processing_class=tokenizer, **given)


class Counts:
    """Examples, tokens, targets and loss of the passes since it was last asked."""

    def __init__(self, trainer: Any) -> None:
        self._plain = trainer.training_step
        self.clear()
        trainer.training_step = self._counted

    def clear(self) -> None:
        """Begin anew."""
        self.examples = self.tokens = self.targets = 0
        self.loss = 0.0

    def _counted(self, model: Any, inputs: dict[str, Any], *more: Any, **named: Any) -> Any:
        labels, positions = inputs["labels"], inputs.get("position_ids")
        if positions is None:
            self.examples += len(labels)
            self.tokens += int(inputs["attention_mask"].sum())
            self.targets += int((labels[:, 1:] != IGNORE).sum())
        else:  # laid end to end: every text begins at position 0
            self.examples += int((positions == 0).sum())
            self.tokens += labels.numel()
            self.targets += int(((labels != IGNORE) & (positions != 0)).sum())
        loss = self._plain(model, inputs, *more, **named)
        self.loss += float(loss)
        return loss

    def taken(self) -> dict[str, Any]:
        """What was counted; counting begins anew."""
        told = {name: getattr(self, name) for name in ("examples", "tokens", "targets", "loss")}
        self.clear()
        return told


def warm_up(trainer: Any, job: Job) -> None:
    """One pass without an update, so that kernels are chosen before the clock runs."""
    few = [trainer.train_dataset[place] for place in range(min(job.batch, job.micro))]
    inputs = trainer.data_collator(few[:1] if job.kind == "trl-packing" else few)
    trainer.current_gradient_accumulation_steps = 1
    with trainer.accelerator.autocast():
        trainer.training_step(trainer.model, inputs)
    trainer.model.zero_grad(set_to_none=True)


def main(job: Job) -> None:
    """Train for as many steps as the parent wants."""
    from transformers import TrainerCallback

    class Turns(TrainerCallback):
        """Waits for its turn before each step."""

        start = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            report(ready=True)
            self._next(control)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            seconds = time.perf_counter() - self.start
            report(seconds=seconds, peak_gib=peak_gib(), **counts.taken())
            self._next(control)

        def _next(self, control: Any) -> None:
            if not wait_for_order():
                os._exit(0)  # nothing is saved, and a stop in on_train_begin would be forgotten
            self.start = time.perf_counter()

    trainer = trainer_of(job, load_rows(Path(job.folder), job.data), Turns())
    counts = Counts(trainer)
    warm_up(trainer, job)
    counts.clear()
    with contextlib.redirect_stderr(None):
        trainer.train()


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
