"""Training states on disk: committed whole, verified before use, without pickles.

A checkpoint holds the adapter, the optimizer's moments and a few numbers. Nothing else is needed: the order
of examples and the dropout of a step are functions of the seed and the step.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lorascope.errors import RunError, explain
from lorascope.lm.adapter import refuse_non_finite
from lorascope.run.commit import committed_folder, folder_problem, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """The numbers of a checkpoint.

    Attributes:
        step: Optimizer steps done.
        best_loss: Lowest validation loss so far; None before the first evaluation with a validation split.
        best_step: Its step.
        settings: Everything that decides the training; a resumed run must have the same.
        scaler: State of the fp16 loss scaler, empty otherwise.
    """

    step: int
    best_loss: float | None
    best_step: int | None
    settings: Mapping[str, Any]
    scaler: Mapping[str, float]


def checkpoint_name(step: int) -> str:
    """Folder name of a step's checkpoint; names sort like steps."""
    return f"step-{step:08d}"


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint, by its folder's name."""
    return int(checkpoint.name.removeprefix("step-"))


def save_checkpoint(
    folder: Path,
    state: TrainState,
    tensors: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    keep: int,
) -> None:
    """Commit a checkpoint, then remove the oldest ones beyond `keep`.

    Args:
        folder: train/checkpoints.
        state: Its numbers.
        tensors: The trainable parameters by name.
        optimizer: Over those parameters, in that order.
        keep: How many to keep, this one included.

    Raises:
        NumericsError: A weight or moment is not finite; nothing is written.
        RunError: The disk refuses; older checkpoints are untouched.
    """
    from safetensors.torch import save_file

    moments = _moments(tensors, optimizer)
    refuse_non_finite({**tensors, **moments}, where=f"checkpoint of step {state.step}")
    target = folder / checkpoint_name(state.step)
    with committed_folder(target, replace=True) as staged:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, staged / "adapter.safetensors"
        )
        save_file({k: v.cpu().contiguous() for k, v in moments.items()}, staged / "optimizer.safetensors")
        write_json(staged / "state.json", asdict(state))
    for old in committed_steps(folder)[:-keep]:
        shutil.rmtree(old)


def _moments(
    tensors: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    moments = {}
    for name, parameter in tensors.items():
        for key, value in optimizer.state[parameter].items():
            moments[f"{name}::{key}"] = torch.as_tensor(value).detach()
    return moments


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint that is whole.

    Args:
        folder: train/checkpoints.

    Returns:
        It, or None; and a sentence for each damaged one that was passed over.
    """
    passed_over: list[str] = []
    for path in reversed(committed_steps(folder)):
        problem = folder_problem(path)
        if problem is None:
            return path, passed_over
        passed_over.append(f"the checkpoint of step {step_of(path)} is passed over: {problem}")
    return None, passed_over


def committed_steps(folder: Path) -> list[Path]:
    """Checkpoints of a folder from old to new, whole or damaged."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def load_checkpoint(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
) -> TrainState:
    """Put a checkpoint's weights and moments in place.

    Args:
        path: A whole checkpoint, from `newest_checkpoint`.
        tensors: The trainable parameters by name; overwritten.
        optimizer: Over them; its state is overwritten.
        settings: What decides this training; must be what decided the checkpoint's.

    Raises:
        RunError: The checkpoint belongs to other settings, or to another adapter.
    """
    from safetensors.torch import load_file

    values = json.loads((path / "state.json").read_text(encoding="utf-8"))
    state = TrainState(**values)
    changes = changed(state.settings, settings)
    if changes:
        raise _foreign(path, f"not what it was started with: {'; '.join(changes)}")
    stored = load_file(path / "adapter.safetensors")
    if {k: v.shape for k, v in stored.items()} != {k: v.shape for k, v in tensors.items()}:
        raise _foreign(path, "its tensors are not those of this adapter")
    moments = load_file(path / "optimizer.safetensors")
    with torch.no_grad():
        for name, parameter in tensors.items():
            parameter.copy_(stored[name])
            entries = {k.split("::")[1]: v for k, v in moments.items() if k.split("::")[0] == name}
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in entries.items()
            }
    return state


def changed(before: Mapping[str, Any], now: Mapping[str, Any], lead: str = "") -> list[str]:
    """Settings that differ between two mappings: dotted name, old value, new value; hashes are shortened."""
    found: list[str] = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changed(old, new, f"{lead}{name}.")
        elif old != new:
            found.append(f"{lead}{name} was {_short(old)}, now {_short(new)}")
    return found


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else json.dumps(value)


def _foreign(path: Path, why: str) -> RunError:
    return RunError(
        explain(
            "this training cannot be resumed",
            where=str(path),
            why=why,
            fix="resume with the settings it was started with, or start again with --overwrite",
        )
    )
