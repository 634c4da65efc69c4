"""train/steps.jsonl of a run of ours -> its training points, column by column: a million in a second."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from lorascope.diagnose.logs.curve import NO_POINTS, TrainPoints
from lorascope.diagnose.logs.step_columns import read_columns
from lorascope.run.records import StepRecord, read_steps

_COLUMNS = ("step", "epoch", "loss", "target_tokens", "learning_rate", "grad_norm")
_SHORT_BYTES = 1 << 16  # some 250 steps: line by line they are read before Arrow's threads have started


def read_step_log(path: Path, broken: list[int] | None = None) -> TrainPoints:
    """Read a step log; a torn last line, as a kill leaves it, is passed over.

    A resumed training may have written a step twice: the later line counts.

    Args:
        path: train/steps.jsonl; it may be missing or still be written.
        broken: Takes the numbers of other lines that were passed over, as of `read_lines`.

    Raises:
        RunError: A line is no step of ours.
    """
    if not path.is_file() or not path.stat().st_size:
        return NO_POINTS
    if path.stat().st_size <= _SHORT_BYTES:
        return step_points(read_steps(path, broken))
    try:
        return _points(read_columns(path, _COLUMNS))
    except (pa.ArrowInvalid, KeyError):  # a line in the middle is torn, or foreign: read it with care
        return step_points(read_steps(path, broken))


def step_points(records: list[StepRecord]) -> TrainPoints:
    """The training points of step records; the later of two records of a step counts."""
    told = [
        [one.step, one.epoch, one.loss, one.target_tokens, one.learning_rate, one.grad_norm]
        for one in records
    ]
    return _points(np.array(told, dtype=np.float64).reshape(len(told), len(_COLUMNS)).T)


def _points(told: np.ndarray) -> TrainPoints:
    """Training points of the columns of a log, in the order of `_COLUMNS`."""
    step, epoch, loss, target_tokens, learning_rate, grad_norm = told
    if len(step) and np.isnan(step).any():
        raise KeyError("step")
    if (np.diff(step) <= 0).any():
        _, last = np.unique(step[::-1], return_index=True)
        return _points(told[:, len(step) - 1 - last])
    return TrainPoints(
        step=step,
        epoch=epoch,
        loss=loss,
        loss_not_finite=np.isnan(loss),
        learning_rate=learning_rate,
        grad_norm=grad_norm,
        grad_norm_not_finite=np.isnan(grad_norm),
        num_tokens=np.cumsum(target_tokens),
    )
