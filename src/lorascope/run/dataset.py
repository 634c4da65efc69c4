"""Tokenised examples on disk (a Hugging Face DatasetDict, ours or anybody's) -> examples in memory."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.errors import DataError, explain, nearest

IGNORE = -100
"""The label of a token that is not trained on, as in transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One unit to train or score on, unpadded.

    Attributes:
        example_id: "file#row" where lorascope prepared it, else the row's number in its split.
        input_ids: [T] int64.
        labels: [T] int64; -100 where the token is not a target, else equal to the token. Unshifted: labels[t]
            is predicted from the tokens before t.
    """

    example_id: str
    input_ids: np.ndarray
    labels: np.ndarray

    @property
    def num_tokens(self) -> int:
        """Length in tokens."""
        return len(self.input_ids)

    @property
    def num_target_tokens(self) -> int:
        """Target tokens that can be scored: the very first token has nothing before it to predict it from."""
        return int((self.labels[1:] != IGNORE).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitNotes:
    """What had to be assumed when a split was read.

    Attributes:
        num_trimmed: Rows whose padding was cut off.
        has_attention_mask: Whether the dataset says where the padding is.
        stored_length: Length of every stored row where they are all equal and some are padded, else None.
        padding_targets: Example id to the number of targets in the padding that was cut off.
        mask_holes: Example id to the number of tokens that the attention mask leaves out between others.
    """

    num_trimmed: int
    has_attention_mask: bool
    stored_length: int | None = None
    padding_targets: Mapping[str, int] = field(default_factory=dict)
    mask_holes: Mapping[str, int] = field(default_factory=dict)


def load_splits(path: Path) -> dict[str, Any]:
    """Open a dataset folder written by `datasets`.

    Args:
        path: A DatasetDict or a single Dataset, as written by `save_to_disk`.

    Returns:
        Split name to `datasets.Dataset`; a single Dataset is called "train".

    Raises:
        DataError: The folder is missing, is no dataset, or cannot be read.
    """
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except (
        Exception
    ) as error:  # datasets raises anything from FileNotFoundError to IndexError for a damaged one
        said = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            explain(
                f'"{path}" cannot be read as a dataset: {said}',
                where=str(path),
                why="a tokenised dataset is a folder written by datasets' save_to_disk, whole and unchanged",
                fix="check the path, or make one: lorascope prepare DATA --base MODEL --out RUN",
            )
        ) from error
    return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}


def load_examples(path: Path, split: str) -> tuple[list[Example], SplitNotes]:
    """Read one split.

    Args:
        path: The dataset folder.
        split: Its split.

    Returns:
        The examples in stored order, and what was assumed about padding.

    Raises:
        DataError: There is no such split, it is empty, or its columns are not those of tokenised data.
    """
    splits = load_splits(path)
    if split not in splits:
        raise DataError(
            explain(
                f'there is no split "{split}"',
                where=str(path),
                why="the dataset has no part of that name",
                fix=f"{nearest(split, splits)}; eval takes it with --set eval.split=, compare with --set "
                "compare.split=",
            )
        )
    return examples_of(splits[split], where=f"{path}, split {split}")


def examples_of(dataset: Any, where: str) -> tuple[list[Example], SplitNotes]:
    """Turn a `datasets.Dataset` into examples, trimming any padding by its attention mask.

    Trailing tokens that are not targets never change a loss (attention is causal), so trailing padding may be
    cut even where no attention mask says how long the row is.

    Raises:
        DataError: input_ids or labels are missing, or of unequal length.
    """
    columns = set(dataset.column_names)
    for needed in ("input_ids", "labels"):
        if needed not in columns:
            raise DataError(
                explain(
                    f'column "{needed}" is missing',
                    where=where,
                    why="tokenised data holds input_ids and labels (-100 where a token is not trained on)",
                    fix=f"{nearest(needed, columns)}; raw rows go through: lorascope prepare",
                )
            )
    table = dataset.with_format("arrow")[:]
    ids, labels = _lists(table, "input_ids", where), _lists(table, "labels", where)
    masks = _lists(table, "attention_mask", where) if "attention_mask" in columns else None
    names = table["example_id"].to_pylist() if "example_id" in columns else range(len(ids))
    examples: list[Example] = []
    padding_targets: dict[str, int] = {}
    mask_holes: dict[str, int] = {}
    num_trimmed = 0
    for row, name in enumerate(names):
        keep = _kept(ids[row], labels[row], None if masks is None else masks[row], f"{where}, row {row}")
        num_trimmed += len(ids[row]) - (keep.stop - keep.start) > 0
        example = Example(example_id=str(name), input_ids=ids[row][keep], labels=labels[row][keep])
        examples.append(example)
        extra = int((labels[row] != IGNORE).sum() - (example.labels != IGNORE).sum())
        if extra:
            padding_targets[example.example_id] = extra
        holes = int((masks[row][keep] == 0).sum()) if masks is not None else 0
        if holes:
            mask_holes[example.example_id] = holes
    lengths = {len(row) for row in ids}
    notes = SplitNotes(
        num_trimmed=num_trimmed,
        has_attention_mask=masks is not None,
        stored_length=lengths.pop() if num_trimmed and len(lengths) == 1 else None,
        padding_targets=padding_targets,
        mask_holes=mask_holes,
    )
    return examples, notes


def _lists(table: Any, name: str, where: str) -> list[np.ndarray]:
    """Cut an Arrow list column into one int64 array per row.

    Raises:
        DataError: It holds something else than lists of integers, or a null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name]
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    values = pc.list_flatten(column) if is_list else column
    is_integer = is_list and (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type))
    if not is_integer or column.null_count or values.null_count:
        problem = "holds nulls" if is_integer else f"holds {kind}"
        raise DataError(
            explain(
                f'column "{name}" {problem}',
                where=where,
                why="tokenised data is one list of integers a row",
                fix="tokenise the rows again; raw rows go through: lorascope prepare",
            )
        )
    ends = np.cumsum(pc.list_value_length(column).to_numpy())
    return np.split(values.to_numpy().astype(np.int64), ends[:-1]) if len(ends) else []


def _kept(ids: np.ndarray, labels: np.ndarray, mask: np.ndarray | None, where: str) -> slice:
    """The span of a row that is no padding."""
    if len(ids) != len(labels) or (mask is not None and len(mask) != len(ids)):
        shown = f"{len(ids)}, {len(labels)} and {'none' if mask is None else len(mask)}"
        raise DataError(
            explain(
                f"input_ids, labels and attention_mask differ in length ({shown})",
                where=where,
                why="every token needs its own label",
                fix="tokenise the row again",
            )
        )
    if mask is None:
        targets = np.flatnonzero(labels != IGNORE)
        return slice(0, int(targets[-1]) + 1 if len(targets) else len(ids))
    used = np.flatnonzero(mask)
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)


def content_hash(splits: Iterable[tuple[str, Sequence[Example]]]) -> str:
    """Hash what a model would be trained and scored on: sha256 over split names, ids and labels in order."""
    digest = hashlib.sha256()
    for split, examples in splits:
        digest.update(f"{split}:{len(examples)};".encode())
        for example in examples:
            digest.update(example.num_tokens.to_bytes(4, "little"))
            digest.update(example.input_ids.astype("<i4").tobytes())
            digest.update(example.labels.astype("<i4").tobytes())
    return digest.hexdigest()
