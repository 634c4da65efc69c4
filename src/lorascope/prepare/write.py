"""Staged examples -> the files of prepare/: a DatasetDict for any trainer, and the texts beside it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.prepare.overlap import CODES, Overlap
from lorascope.prepare.read import BadRow
from lorascope.prepare.staged import SCHEMA, StagedFile

_TOKENS = ("input_ids", "targets")
_STAGED = [field for field in SCHEMA if field.name not in _TOKENS]
_OVERLAP = [pa.field("overlap", pa.string()), pa.field("twin", pa.string())]
_TEXTS = pa.schema([_STAGED[0], pa.field("split", pa.string()), *_STAGED[1:], *_OVERLAP])


def write_examples(
    folder: Path, staged: StagedFile, masks: Mapping[str, np.ndarray], overlap: Overlap
) -> str:
    """Write dataset/, a Hugging Face DatasetDict, and examples.parquet, what each example says.

    Args:
        folder: prepare/, staged.
        staged: All examples.
        masks: Split name to which of them it holds, [N] bool; in the order in which they are stored.
        overlap: What training has seen of the held-out ones.

    Returns:
        sha256 of the dataset, as `run.dataset.content_hash` computes it.
    """
    import datasets

    digest = hashlib.sha256()
    made = {}
    with pq.ParquetWriter(folder / "examples.parquet", _TEXTS) as texts:
        for split, mask_N in masks.items():
            digest.update(f"{split}:{int(mask_N.sum())};".encode())
            path = folder / f"{split}.arrow"
            with (
                pa.OSFile(str(path), "wb") as file,
                pa.ipc.new_stream(file, _features().arrow_schema) as rows,
            ):
                done = 0
                chosen = np.flatnonzero(mask_N)
                for batch in staged.batches(mask_N):
                    own = chosen[done : done + batch.num_rows]
                    done += batch.num_rows
                    rows.write_batch(_tokens(batch))
                    texts.write_table(_texts(batch, split, _overlap_columns(own, overlap, staged)))
                    for piece in _bytes_of(batch):
                        digest.update(piece)
            made[split] = datasets.Dataset.from_file(str(path))
        _save(datasets.DatasetDict(made), folder / "dataset")
    for split in masks:
        (folder / f"{split}.arrow").unlink()
    return digest.hexdigest()


def _features() -> Any:
    """Unpadded input_ids, attention_mask, labels (-100 where no target), and example_id."""
    import datasets

    return datasets.Features(
        {
            "input_ids": datasets.List(datasets.Value("int32")),
            "attention_mask": datasets.List(datasets.Value("int8")),
            "labels": datasets.List(datasets.Value("int64")),
            "example_id": datasets.Value("string"),
        }
    )


def _tokens(batch: pa.RecordBatch) -> pa.RecordBatch:
    schema = _features().arrow_schema
    ids, targets = batch.column("input_ids"), batch.column("targets")
    ones = pa.ListArray.from_arrays(ids.offsets, pa.array(np.ones(len(ids.values), dtype=np.int8)))
    columns = {
        "input_ids": ids,
        "attention_mask": ones,
        "labels": targets.cast(pa.list_(pa.int64())),
        "example_id": batch.column("example_id"),
    }
    return pa.RecordBatch.from_arrays(
        [columns[name].cast(kind) for name, kind in zip(schema.names, schema.types, strict=True)],
        schema=schema,
    )


def _texts(batch: pa.RecordBatch, split: str, more: Mapping[str, pa.Array]) -> pa.Table:
    known = {"split": pa.repeat(split, batch.num_rows), **more}
    columns = [known[name] if name in known else batch.column(name) for name in _TEXTS.names]
    return pa.Table.from_arrays(columns, schema=_TEXTS)


def _overlap_columns(own: np.ndarray, overlap: Overlap, staged: StagedFile) -> dict[str, pa.Array]:
    """How each example overlaps with training, and the id of a training example that it repeats."""
    code, twin = overlap.code_N[own], overlap.twin_N[own]
    if not code.any():
        return {name: pa.nulls(len(own), pa.string()) for name in ("overlap", "twin")}
    wanted = np.unique(twin[twin >= 0])
    names = dict(zip(wanted.tolist(), staged.take(wanted.tolist(), "example_id"), strict=True))
    return {
        "overlap": pa.array([CODES[one] or None for one in code], pa.string()),
        "twin": pa.array([names.get(one) for one in twin.tolist()], pa.string()),
    }


def _bytes_of(batch: pa.RecordBatch) -> Iterator[bytes]:
    """What `content_hash` hashes of each example: its length, its ids, its labels, as little-endian int32."""
    offsets = batch.column("input_ids").offsets.to_numpy()
    ids = batch.column("input_ids").values.to_numpy().astype("<i4", copy=False)
    labels = batch.column("targets").values.to_numpy().astype("<i4", copy=False)
    base = batch.column("targets").offsets.to_numpy()
    for row, (start, end) in enumerate(pairwise(offsets)):
        own = base[row]
        yield b"".join(
            [
                int(end - start).to_bytes(4, "little"),
                ids[start:end].tobytes(),
                labels[own : own + end - start].tobytes(),
            ]
        )


def _save(made: Any, folder: Path) -> None:
    import datasets

    progress = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        made.save_to_disk(str(folder))
    finally:
        if progress:
            datasets.enable_progress_bars()


def write_dropped(file: TextIO, dropped: Iterable[BadRow]) -> None:
    """Write to dropped.jsonl: one line per dropped row with file, line, row, reason and excerpt."""
    for bad in dropped:
        entry = {name: getattr(bad, name) for name in ("file", "line", "row", "reason", "excerpt")}
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
