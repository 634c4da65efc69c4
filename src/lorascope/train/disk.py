"""The disk space a training takes, asked for before its first step and not found missing hours later."""

import shutil

from lorascope.engine.memory import bytes_in_words
from lorascope.errors import RunError, explain
from lorascope.train.training import Training

_MOMENTS = 2
_STEP_LINE, _EVAL_LINE_EACH = 320, 24
"""Bytes of a line of steps.jsonl, and of each example in one of evals.jsonl."""


def disk_bytes(training: Training) -> int:
    """Most bytes that train/ will hold.

        weights * ((1 + 2) * (kept + 1) + 3) * 4  + logs

    A checkpoint holds the weights and two moments; one more than are kept stands there while the newest is
    committed. The last and the best adapter come to it, and one of them twice while it is exchanged.
    """
    weights = sum(parameter.numel() for parameter in training.trainee.parameters)
    section = training.recipe.train
    copies = (1 + _MOMENTS) * (section.keep_checkpoints + 1) + 3
    evaluations = training.plan.num_steps // int(section.eval_steps) + 2
    scored = min(training.sets.first, len(training.sets.probe)) * 2 * evaluations
    return 4 * weights * copies + _STEP_LINE * training.plan.num_steps + _EVAL_LINE_EACH * scored


def refuse_full_disk(training: Training) -> None:
    """Insist that the disk has room for a training.

    Raises:
        RunError: It has not; nothing was trained.
    """
    needed, free = disk_bytes(training), shutil.disk_usage(training.run.path).free
    there = sum(path.stat().st_size for path in training.run.stage("train").rglob("*") if path.is_file())
    if free + there >= needed:  # what is there is replaced, or gone on with
        return
    raise RunError(
        explain(
            f"the disk has {bytes_in_words(free)} left, and this training writes up to "
            f"{bytes_in_words(needed)}",
            where=str(training.run.path),
            why="checkpoints that cannot be written would end the training hours from now",
            fix="free space, another --out, or a smaller train.keep_checkpoints or lora.rank",
        )
    )
