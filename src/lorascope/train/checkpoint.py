"""Training states on disk: committed whole, verified before use, without pickles.

A checkpoint holds the adapter, the optimizer's moments and a few numbers. Nothing else is needed: the order
of examples and the dropout of a step are functions of the seed and the step.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lorascope.errors import RunError, explain
from lorascope.lm.adapter import refuse_non_finite
from lorascope.run.commit import committed_folder, folder_problem, remove_folder, write_json

_ADAPTER, _OPTIMIZER, _STATE = "adapter.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """The numbers of a checkpoint.

    Attributes:
        step: Optimizer steps done.
        best_loss: Lowest validation loss so far; None before the first evaluation with a validation split.
        best_step: Its step.
        settings: Everything that decides the training; a resumed run must have the same.
        scaler: State of the fp16 loss scaler, empty otherwise.
        row_tokens: Token budget of a pass: what memory has made of what was asked for. A resumed training
            that asks for nothing else takes it, because rows laid out differently would drop other values.
        recompute: Whether activations were computed again in the backward pass.
    """

    step: int
    best_loss: float | None
    best_step: int | None
    settings: Mapping[str, Any]
    scaler: Mapping[str, float]
    row_tokens: int | None = None
    recompute: bool = False


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
    """Commit a checkpoint, then remove those older than the newest `keep` whole ones.

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
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, staged / _ADAPTER)
        # Copies, since tensors of 8-bit moments share their table of values, which safetensors refuses.
        save_file({k: v.cpu().clone().contiguous() for k, v in moments.items()}, staged / _OPTIMIZER)
        write_json(staged / _STATE, asdict(state))
    _rotate(folder, state.step, keep)


def _rotate(folder: Path, step: int, keep: int) -> None:
    """Remove checkpoints older than the newest `keep` whole ones up to a step.

    A damaged one does not count, or it would push out the one that a training goes on from. One of a later
    step is damaged, else the training would have gone on from there; it is replaced when that step comes.
    """
    num_whole = 0
    for path in reversed(committed_steps(folder)):
        if num_whole >= keep:
            remove_folder(path)
        elif step_of(path) <= step and checkpoint_problem(path) is None:
            num_whole += 1


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
        problem = checkpoint_problem(path)
        if problem is None:
            return path, passed_over
        passed_over.append(f"the checkpoint of step {step_of(path)} is passed over: {problem}")
    return None, passed_over


def checkpoint_problem(path: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None when it is whole and that of its folder's step."""
    problem = folder_problem(path, needs=(_ADAPTER, _OPTIMIZER, _STATE))
    if problem:
        return problem
    try:
        step = _read_state(path).step
    except (OSError, ValueError, TypeError) as error:  # its hash is right: another version wrote it so
        return f"{_STATE} cannot be understood: {error}"
    return None if step == step_of(path) else f"{_STATE} is that of step {step}"


def committed_steps(folder: Path) -> list[Path]:
    """Checkpoints of a folder from old to new, whole or damaged; what is named otherwise is not ours."""
    found = folder.glob("step-*") if folder.is_dir() else []
    return sorted(path for path in found if re.fullmatch(r"step-[0-9]{8,}", path.name))


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
        RunError: The checkpoint is damaged, or belongs to other settings or to another adapter.
        NumericsError: A weight or moment is not finite. Whatever is raised, nothing was overwritten.
    """
    from safetensors.torch import load_file

    problem = checkpoint_problem(path)
    if problem:
        raise _damaged(path, problem)
    state = _read_state(path)
    changes = [
        told for told in changed(state.settings, settings) if told.split(" was ")[0] not in _FREE | _LAYOUT
    ]
    if changes:
        raise _foreign(path, f"not what it was started with: {'; '.join(changes)}")
    stored = load_file(path / _ADAPTER)
    if _layout(stored) != _layout(tensors):
        raise _foreign(path, "its tensors are not those of this adapter")
    moments = load_file(path / _OPTIMIZER)
    entries = _by_tensor(path, moments, tensors)
    refuse_non_finite({**stored, **moments}, where=str(path))
    with torch.no_grad():
        for name, parameter in tensors.items():
            parameter.copy_(stored[name])
            optimizer.state[parameter] = {
                key: _count(optimizer, value) if key == "step" else value.to(parameter.device)
                for key, value in entries[name].items()
            }
    return state


def _count(optimizer: torch.optim.Optimizer, value: torch.Tensor) -> torch.Tensor | int:
    """The steps an optimizer has done, as it keeps them itself: a tensor in torch, a number elsewhere."""
    return value if isinstance(optimizer, torch.optim.AdamW) else int(value)


def _read_state(path: Path) -> TrainState:
    return TrainState(**json.loads((path / _STATE).read_text(encoding="utf-8")))


def _layout(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _by_tensor(
    path: Path, moments: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]
) -> dict[str, dict[str, torch.Tensor]]:
    """Sort moments by the tensor they belong to; tensors of the same size must have the same ones.

    Of different sizes not always: 8-bit optimizers keep small tensors in 32 bits.
    """
    entries: dict[str, dict[str, torch.Tensor]] = {name: {} for name in tensors}
    for full_name, value in moments.items():
        name, _, key = full_name.partition("::")
        if name not in entries:
            raise _foreign(path, f"its optimizer holds {full_name}, which is no tensor of this adapter")
        entries[name][key] = value
    kinds: dict[int, set[frozenset[str]]] = {}
    for name, found in entries.items():
        kinds.setdefault(tensors[name].numel(), set()).add(frozenset(found))
    stepped = {"step" in found for found in entries.values()}
    if len(stepped) > 1 or any(len(kind) > 1 for kind in kinds.values()):
        raise _foreign(path, "its optimizer lacks a part of some tensors")
    return entries


_FREE = {
    f"train.{name}" for name in ("keep_checkpoints", "save_steps", "trackers", "sample_prompts", "stop_on")
}
"""Settings that decide nothing of what a step computes: a resumed training may have others."""
_LAYOUT = {"train.row_tokens", "train.checkpoint_activations"}
"""Settings that decide how a step is computed, not what: where memory ran out, others are the way on."""


def changed_layout(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How a step is computed now where that differs from before, as `changed` tells it."""
    return [told for told in changed(before, now) if told.split(" was ")[0] in _LAYOUT]


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


def _damaged(path: Path, problem: str) -> RunError:
    return RunError(
        explain(
            f"the checkpoint of step {step_of(path)} is damaged: {problem}",
            where=str(path),
            why="its files are not those that were committed: a training from them would be silently wrong",
            fix="restore it from a copy; --resume passes over a damaged one and goes on from the one before",
        )
    )


def _foreign(path: Path, why: str) -> RunError:
    return RunError(
        explain(
            "this training cannot be resumed",
            where=str(path),
            why=why,
            fix="resume with the settings it was started with, or start again with --overwrite",
        )
    )
