"""The gate before any timing: lorascope's losses and gradients against the padded float32 reference."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contenders import Venvs
from measure import turns
from work import Job

MOST_GRADIENT, MOST_FLOAT32, MOST_BF16 = 1e-5, 1e-4, 1e-2
"""Relative differences that are let through: of one step, and of 50 steps' losses by precision."""
BATCH_ONE, BATCH_MANY, STEPS = 16, 4, 50


def gate(venvs: Venvs, folder: Path, precisions: Sequence[str], *, steps: int = STEPS) -> dict[str, Any]:
    """Compare one step with its gradients, and many steps with their updates.

    Args:
        venvs: Where the processes run.
        folder: The prepared work.
        precisions: Those that will be timed.
        steps: How many updates are compared.

    Returns:
        The largest relative differences, and under "passed" whether all are small enough.
    """
    one = {kind: Job(str(folder), kind, batch=BATCH_ONE) for kind in ("gradients", "reference-gradients")}
    found = turns(venvs, one, seconds=0, most=1)
    ours, plain = (found[kind][-1] for kind in one)
    refuse_failed(ours, plain)
    record: dict[str, Any] = {
        "examples": BATCH_ONE,
        "loss": abs(ours["loss"] / plain["loss"] - 1),
        "gradient": largest_gap(folder),
        "steps": steps,
    }
    record["passed"] = max(record["loss"], record["gradient"]) <= MOST_GRADIENT
    jobs = {"reference": Job(str(folder), "reference", data="short", batch=BATCH_MANY)}
    jobs |= {name: replace(jobs["reference"], kind="lorascope", precision=name) for name in precisions}
    losses = turns(venvs, jobs, seconds=float("inf"), most=steps)
    for name in precisions:
        refuse_failed(losses[name][-1], losses["reference"][-1])
        pairs = zip(losses[name], losses["reference"], strict=True)
        gaps = [abs(one["loss"] / plain["loss"] - 1) for one, plain in pairs]
        record[f"losses_{name}"] = max(gaps)
        record["passed"] &= max(gaps) <= (MOST_BF16 if name == "bf16" else MOST_FLOAT32)
    record["last_loss"] = losses["reference"][-1]["loss"]
    return record


def refuse_failed(*steps: dict[str, Any]) -> None:
    """End where a side could not run at all."""
    for step in steps:
        if "failed" in step:
            raise SystemExit(f"the parity gate could not run: {step['failed']}")


def largest_gap(folder: Path) -> float:
    """Largest relative difference of an adapter tensor's gradient: |ours - plain| / |plain|."""
    from safetensors.torch import load_file

    ours, plain = (load_file(folder / f"gradients-{name}.safetensors") for name in ("lorascope", "reference"))
    if ours.keys() != plain.keys():
        raise SystemExit("the two sides train different tensors")
    gaps = [float((ours[name] - plain[name]).norm() / plain[name].norm()) for name in plain]
    return max(gaps)
