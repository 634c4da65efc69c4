"""A training says how it is computed, and gives the same adapter however it is."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from lorascope.run.folder import RunFolder
from lorascope.run.records import read_steps


def adapter(run: RunFolder) -> dict[str, np.ndarray]:
    return dict(load_file(run.adapter / "adapter_model.safetensors"))


def test_packed_and_padded_training_agree_step_by_step(
    ready_run: Callable[[str], RunFolder], train: Callable[..., dict[str, Any]]
) -> None:
    packed, padded = ready_run("packed"), ready_run("padded")
    told = train(packed, "lora.dropout=0")["engine"]
    assert told == "packed rows, bucketed attention"
    assert json.loads(packed.train_summary.read_text())["engine"] == told
    assert train(padded, "lora.dropout=0", "train.packing=false")["engine"] == "padded batches, as asked"
    losses = [[record.loss for record in read_steps(run.steps)] for run in (packed, padded)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for name, tensor in adapter(padded).items():
        # A is drawn from the same seed and B begins at 0: what differs is rounding, over twelve steps.
        np.testing.assert_allclose(adapter(packed)[name], tensor, atol=2e-4)


def test_sharing_and_the_budget_of_a_row_change_nothing(
    ready_run: Callable[[str], RunFolder], train: Callable[..., dict[str, Any]]
) -> None:
    runs = {"shared": [], "apart": ["train.shared_prefix=false"], "small": ["train.row_tokens=64"]}
    losses = []
    for name, settings in runs.items():
        run = ready_run(name)
        train(run, "lora.dropout=0", *settings)
        losses.append([record.loss for record in read_steps(run.steps)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)
