"""Collated batches of a Trainer -> rows that `check` reads. Shapes: B rows, T tokens in a row."""

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

_IGNORE = -100


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put every random generator back as it was: looking at batches must not change a training."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_devices:
            torch.cuda.set_rng_state_all(on_devices)


def rows_of_batch(batch: Mapping[str, Any]) -> list[dict[str, list[int]]]:
    """The rows of one batch, as lists.

    Rows laid side by side without padding, as TRL's padding-free collator does, begin anew where position_ids
    is 0.

    Args:
        batch: input_ids and labels, [B, T]; attention_mask or position_ids where there are such.
    """
    if "input_ids" not in batch or "labels" not in batch:
        return []
    ids, labels = batch["input_ids"].tolist(), batch["labels"].tolist()
    masks = batch["attention_mask"].tolist() if "attention_mask" in batch else [None] * len(ids)
    places = batch["position_ids"].tolist() if "position_ids" in batch else [None] * len(ids)
    rows: list[dict[str, list[int]]] = []
    for one_ids, one_labels, mask, place in zip(ids, labels, masks, places, strict=True):
        starts = [0] if place is None else [at for at, value in enumerate(place) if value == 0]
        if place is None or len(starts) <= 1 or mask is not None:
            row = {"input_ids": one_ids, "labels": one_labels}
            rows.append(row if mask is None else {**row, "attention_mask": mask})
            continue
        for start, end in zip(starts, [*starts[1:], len(one_ids)], strict=True):
            # The first label of a row behind another is masked by the collator; it is never a target anyway.
            rows.append({"input_ids": one_ids[start:end], "labels": one_labels[start:end]})
    return rows


def num_targets(labels: torch.Tensor) -> int:
    """Target tokens of a batch that are scored: the first of each row has nothing before it.

    Args:
        labels: [B, T].
    """
    return int((labels[..., 1:] != _IGNORE).sum())
