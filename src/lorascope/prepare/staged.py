"""Examples between reading and writing: in a file, because decisions need all and memory has no room."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from lorascope.run.dataset import IGNORE

_CALL = pa.struct([("name", pa.string()), ("arguments", pa.string()), ("call_id", pa.string())])
MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("context", pa.string()),
        ("reasoning", pa.string()),
        ("tool_calls", pa.list_(_CALL)),
        ("tool_name", pa.string()),
        ("call_id", pa.string()),
        ("train", pa.bool_()),
    ]
)
"""A turn, as `run.message.as_record` writes it."""

SCHEMA = pa.schema(
    [
        ("example_id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("row", pa.int64()),
        ("messages", pa.list_(MESSAGE)),
        ("tools", pa.string()),
        ("learnt", pa.list_(pa.int32())),
        ("target_text", pa.string()),
        ("target_bytes", pa.int64()),
        ("num_tokens", pa.int32()),
        ("labels", pa.string()),
        ("odd", pa.list_(pa.string())),
        ("cut", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("targets", pa.list_(pa.int32())),
    ]
)
"""An example while it is staged; `targets` are the labels of its tokens, `labels` its row's other columns;
`cut` says what of it was cut to make it fit."""


class StagedFile:
    """An Arrow file of examples, written batch by batch and then read any number of times.

    Args:
        path: Of the file, in a folder that is thrown away when the stage fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts = [0]
        self._replaced = np.zeros(0, dtype=np.int64)
        self._replacements: pa.Table | None = None
        self._writer: Any = pa.ipc.new_file(str(path), SCHEMA)
        self._reader: Any = None

    def __enter__(self) -> "StagedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._reader = self._replacements = None
        self.path.unlink(missing_ok=True)
        self._second.unlink(missing_ok=True)

    def __len__(self) -> int:
        return self.starts[-1]

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which opens the files by itself; only of a file that is finished."""
        return {"path": self.path, "starts": self.starts, "replaced": self._replaced}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.starts, self._replaced = state["path"], state["starts"], state["replaced"]
        self._writer = None
        self._reader = pa.ipc.open_file(pa.memory_map(str(self.path)))
        second = self._second
        self._replacements = (
            pa.ipc.open_file(pa.memory_map(str(second))).read_all() if len(self._replaced) else None
        )

    @property
    def _second(self) -> Path:
        return self.path.with_suffix(".replaced.arrow")

    def append(self, batch: pa.RecordBatch) -> None:
        """Write one more batch."""
        if batch.num_rows:
            self._writer.write_batch(batch)
            self.starts.append(self.starts[-1] + batch.num_rows)

    def finish(self) -> None:
        """End writing; from now on it is read."""
        self._writer.close()
        self._reader = pa.ipc.open_file(pa.memory_map(str(self.path)))

    def replace(self, places: Sequence[int], batches: Iterable[pa.RecordBatch]) -> dict[str, np.ndarray]:
        """Put other examples in the places of some; once.

        Args:
            places: Where, ascending; may still grow while the batches are made.
            batches: The examples, in the same order.

        Returns:
            Of the new ones "num_tokens" and the number of "targets", [R].
        """
        with pa.ipc.new_file(str(self._second), SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)
        self._replacements = pa.ipc.open_file(pa.memory_map(str(self._second))).read_all()
        self._replaced = np.asarray(places, dtype=np.int64)
        targets = (
            sum(one != IGNORE for one in labels.as_py()) for labels in self._replacements.column("targets")
        )
        return {
            "num_tokens": self._replacements.column("num_tokens").to_numpy(),
            "targets": np.fromiter(targets, dtype=np.int64),
        }

    def batches(self, mask_N: np.ndarray) -> Iterator[pa.RecordBatch]:
        """The chosen examples in their order, batch by batch.

        Args:
            mask_N: Which of them, [N] bool.
        """
        for index, (start, end) in enumerate(pairwise(self.starts)):
            chosen = mask_N[start:end]
            if chosen.any():
                yield self.batch(index).filter(pa.array(chosen))

    def take(self, places: Sequence[int], column: str) -> list[Any]:
        """Values of one column at some places, which ascend."""
        wanted = np.asarray(places, dtype=np.int64)
        out: list[Any] = []
        for index, (start, end) in enumerate(pairwise(self.starts)):
            low, high = np.searchsorted(wanted, [start, end])
            if low < high:
                values = self.batch(index).column(column)
                out += values.take(pa.array(wanted[low:high] - start)).to_pylist()
        return out

    def cut_by_split(self, masks: Mapping[str, np.ndarray]) -> dict[str, int]:
        """How many of the replaced examples each split holds, by split."""
        return {name: int(mask_N[self._replaced].sum()) for name, mask_N in masks.items()}

    @property
    def num_batches(self) -> int:
        """How many batches were appended."""
        return len(self.starts) - 1

    def batch(self, index: int) -> pa.RecordBatch:
        """One of the batches, as it was appended but for what was replaced."""
        batch, start = self._reader.get_batch(index), self.starts[index]
        low, high = np.searchsorted(self._replaced, [start, start + batch.num_rows])
        if low == high or self._replacements is None:
            return batch
        order = np.arange(batch.num_rows)
        order[self._replaced[low:high] - start] = batch.num_rows + np.arange(high - low)
        both = pa.concat_tables([pa.Table.from_batches([batch]), self._replacements.slice(low, high - low)])
        (patched,) = both.take(pa.array(order)).combine_chunks().to_batches()
        return patched
