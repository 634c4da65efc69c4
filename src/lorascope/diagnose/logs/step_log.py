"""train/steps.jsonl of a run of ours -> its training points, column by column: a million in a second."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json

from lorascope.diagnose.logs.curve import NO_POINTS, TrainPoints
from lorascope.run.records import StepRecord, read_steps

_COLUMNS = ("step", "epoch", "loss", "target_tokens", "learning_rate", "grad_norm")
_SCHEMA = pa.schema([(name, pa.float64()) for name in _COLUMNS])
_BLOCK_BYTES = 1 << 23  # parsed at once, a thread each
_LONGEST_LINE = 1 << 16


def read_step_log(path: Path) -> TrainPoints:
    """Read a step log; a torn last line, as a kill leaves it, is passed over.

    A resumed training may have written a step twice: the later line counts.

    Args:
        path: train/steps.jsonl; it may be missing or still be written.

    Raises:
        RunError: A line is no step of ours.
    """
    if not path.is_file() or not path.stat().st_size:
        return NO_POINTS
    try:
        return _points(_fast(path))
    except (pa.ArrowInvalid, KeyError):  # a line in the middle is torn, or foreign: read it with care
        return step_points(read_steps(path))


def step_points(records: list[StepRecord]) -> TrainPoints:
    """The training points of step records; the later of two records of a step counts."""
    told = [
        [one.step, one.epoch, one.loss, one.target_tokens, one.learning_rate, one.grad_norm]
        for one in records
    ]
    return _points(np.array(told, dtype=np.float64).reshape(len(told), len(_COLUMNS)))


def _fast(path: Path) -> np.ndarray:
    """Every line's columns, [lines, columns], NaN for null."""
    parse = pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES)
    with pa.memory_map(str(path)) as file:
        table = pyarrow.json.read_json(pa.BufferReader(file.read_buffer(_whole_lines(path))), read, parse)
    return np.stack([table.column(name).to_numpy() for name in _COLUMNS], axis=1)


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last line that is whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_LINE))
        tail = file.read(_LONGEST_LINE)
    return size - (len(tail) - tail.rfind(b"\n") - 1)


def _points(told: np.ndarray) -> TrainPoints:
    step, epoch, loss, target_tokens, learning_rate, grad_norm = told.T
    if len(step) and np.isnan(step).any():
        raise KeyError("step")
    if (np.diff(step) <= 0).any():
        _, last = np.unique(step[::-1], return_index=True)
        return _points(told[len(step) - 1 - last])
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
