"""LoRA adapters: put one on a base model, save it, load it, and insist that what is loaded was saved."""

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from lorascope.errors import ModelError, NumericsError, explain, nearest

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def linear_layer_names(model: Any) -> list[str]:
    """Full names of the linear layers an adapter may wrap: all but the head."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head
    ]


def resolve_target_modules(asked: str | Iterable[str], model: Any, base: str) -> tuple[str, ...]:
    """Say which layers get an adapter, by the last part of their names.

    Args:
        asked: "auto" for every linear layer but the head, or names.
        model: The base model.
        base: Its name, for the error message.

    Raises:
        ModelError: A name matches no linear layer, or the head.
    """
    suffixes = sorted({name.rsplit(".", 1)[-1] for name in linear_layer_names(model)})
    if asked == "auto":
        return tuple(suffixes)
    wanted = (asked,) if isinstance(asked, str) else tuple(asked)
    head = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if module is model.get_output_embeddings()
    }
    for name in wanted:
        if name not in suffixes:
            raise _no_target(name, base, suffixes, is_head=name in head)
    return wanted


def _no_target(name: str, base: str, suffixes: Sequence[str], *, is_head: bool) -> ModelError:
    where = f"section lora of the recipe; base model {base}"
    if is_head:
        return ModelError(
            explain(
                f'lora.target_modules: "{name}" is the head, which stays as it is',
                where=where,
                why="logits are computed at target tokens only, through a frozen head",
                fix=f"leave it out; the layers to choose among: {', '.join(suffixes)}",
            )
        )
    return ModelError(
        explain(
            f'lora.target_modules: "{name}" matches no layer',
            where=where,
            why="an adapter wraps an existing linear layer, so each name must match one",
            fix=nearest(name, suffixes),
        )
    )


def attach_adapter(
    model: Any, *, rank: int, alpha: float, dropout: float, target_modules: Sequence[str], seed: int
) -> Any:
    """Wrap a base model with a fresh LoRA adapter: A random, B zero, so that it starts at no change.

    Args:
        model: The base model; its own parameters are frozen.
        rank: Width of A and B.
        alpha: Numerator of the factor alpha / rank.
        dropout: On the adapter's input, in training mode.
        target_modules: From `resolve_target_modules`.
        seed: Of the initial A.

    Returns:
        A `peft.PeftModel` whose only trainable parameters are the adapter's, in float32.
    """
    import peft
    from transformers.pytorch_utils import Conv1D

    wrapped = [m for n, m in model.named_modules() if n.rsplit(".", 1)[-1] in target_modules]
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # peft divides by it; any number is right
        lora_dropout=dropout,
        target_modules=list(target_modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in wrapped),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # peft 0.21 reads an attribute that transformers renamed
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config)


def adapter_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The adapter's tensors under the names PEFT saves them by."""
    import peft

    tensors: dict[str, torch.Tensor] = peft.get_peft_model_state_dict(model)
    return tensors


def trainable_parameters(model: Any) -> list[torch.nn.Parameter]:
    """Parameters that an optimizer updates."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def save_adapter(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write an adapter in PEFT's format, with the tokenizer beside it.

    Args:
        model: The PEFT model.
        tokenizer: Saved too, so that whoever loads the adapter encodes as in training.
        folder: An empty folder; commit it with `run.commit.committed_folder`.

    Raises:
        NumericsError: A weight is not finite; nothing is written.
    """
    refuse_non_finite(adapter_tensors(model), where="adapter about to be saved")
    model.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; export writes a real one
    _in_order(folder / "adapter_config.json")
    tokenizer.save_pretrained(str(folder))


def _in_order(config: Path) -> None:
    """Sort what PEFT keeps as sets: the same adapter is then the same bytes."""
    values = json.loads(config.read_text(encoding="utf-8"))
    for name in ("target_modules", "exclude_modules"):
        if isinstance(values.get(name), list):
            values[name] = sorted(values[name])
    config.write_text(json.dumps(values, indent=2, sort_keys=True), encoding="utf-8")


def refuse_non_finite(tensors: dict[str, torch.Tensor], where: str) -> None:
    """Insist that every value of these tensors is finite.

    Raises:
        NumericsError: One is not; the message names the first tensor and counts the values.
    """
    for name, tensor in tensors.items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise NumericsError(
                explain(
                    f"{bad:,} of {tensor.numel():,} values of {name} are not finite",
                    where=where,
                    why="an adapter with NaN or infinity answers nothing",
                    fix="go back to a good checkpoint; lower train.learning_rate, or use bf16 or float32",
                )
            )


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """Read and vet an adapter's configuration.

    Raises:
        ModelError: The folder is no adapter, or one that is not loaded here: not LoRA, pickled, or with code.
    """
    if not (folder / CONFIG).is_file():
        siblings = [e.name for e in folder.parent.iterdir() if e.is_dir()] if folder.parent.is_dir() else []
        inside = folder / "train" / "adapter"
        if inside.is_dir():
            raise _refusal(
                f'"{folder}" is a run', folder, f"there is no {CONFIG} in it", f"its adapter: {inside}"
            )
        problem = f'"{folder}" does not exist' if not folder.exists() else f'"{folder}" is no adapter'
        raise _refusal(problem, folder, f"there is no {CONFIG} in it", nearest(folder.name, siblings))
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise _refusal(
            f"{CONFIG} cannot be read", folder, str(error), "restore the file from a copy"
        ) from error
    if config.get("peft_type") != "LORA":
        kind = str(config.get("peft_type"))
        raise _refusal(
            f"the adapter is of type {kind}", folder, "only LoRA is loaded here", "use a LoRA adapter"
        )
    if "auto_map" in config or any(folder.glob("*.py")):
        raise _refusal(
            "the adapter brings code", folder, "foreign code is never run", "remove auto_map and .py files"
        )
    if not (folder / WEIGHTS).is_file():
        pickled = any(folder.glob("*.bin"))
        why = "its weights are a pickle, which can run code" if pickled else f"{WEIGHTS} is missing"
        raise _refusal(
            "the adapter has no safetensors weights", folder, why, "save it with safe_serialization=True"
        )
    return config


def load_adapter(base_model: Any, folder: Path, base: str) -> Any:
    """Load an adapter onto its base for inference.

    Nothing is trainable afterwards: 0 trainable parameters is right, and no sign of a missing adapter.

    Args:
        base_model: The base model.
        folder: The adapter.
        base: Name of the base model, for messages.

    Returns:
        The PEFT model, in evaluation mode.

    Raises:
        ModelError: The adapter does not fit this base model, or is incomplete.
        NumericsError: It holds values that are not finite.
    """
    import peft
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_adapter_config(folder)
    try:
        stored = load_file(str(folder / WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise _refusal(
            f"{WEIGHTS} cannot be read", folder, str(error)[:100], "restore it from a copy"
        ) from error
    refuse_non_finite(stored, where=str(folder))
    wanted = config.get("target_modules") or []
    if isinstance(wanted, list):
        resolve_fit(base_model, [str(name) for name in wanted], folder, base, config)
    _refuse_other_shapes(base_model, stored, folder, base, config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in attach_adapter; missing tensors are refused below
            model = peft.PeftModel.from_pretrained(base_model, str(folder), is_trainable=False)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        said = str(error).strip().splitlines()[-1].strip()[:160]
        why = f"PEFT cannot put it on {base}: {said}"
        raise _refusal("the adapter does not fit", folder, why, "restore the whole adapter folder") from error
    _refuse_incomplete(stored, adapter_tensors(model), folder)
    model.eval()
    return model


def changes_nothing(model: Any) -> bool:
    """Whether a PEFT model answers exactly as its base: every B is zero, as in an adapter never trained."""
    outer = [tensor for name, tensor in adapter_tensors(model).items() if "lora_B" in name]
    return all(not bool(tensor.any()) for tensor in outer)


def resolve_fit(base_model: Any, wanted: list[str], folder: Path, base: str, config: dict[str, Any]) -> None:
    """Insist that each layer the adapter was made for exists in the base model."""
    names = [name for name, _ in base_model.named_modules()]
    for name in wanted:
        if not any(full == name or full.endswith(f".{name}") for full in names):
            trained_on = config.get("base_model_name_or_path") or "an unnamed model"
            raise _refusal(
                f'the adapter has layer "{name}", the base model has not',
                folder,
                f"it was trained on {trained_on}, this base is {base}",
                f"use its own base model: --base {trained_on}",
            )


def _refuse_other_shapes(
    base_model: Any, stored: dict[str, torch.Tensor], folder: Path, base: str, config: dict[str, Any]
) -> None:
    """Compare A's in-features and B's out-features with the layers they belong to."""
    from transformers.pytorch_utils import Conv1D

    layers = dict(base_model.named_modules())
    for name, tensor in stored.items():
        path, _, kind = name.removeprefix("base_model.model.").partition(".lora_")
        layer = layers.get(path)
        if layer is None or kind not in ("A.weight", "B.weight"):
            continue
        weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
        expected, found = (
            (weight.shape[1], tensor.shape[1]) if kind[0] == "A" else (weight.shape[0], tensor.shape[0])
        )
        if expected != found:
            trained_on = config.get("base_model_name_or_path") or "an unnamed model"
            raise _refusal(
                f"{path} has width {expected} in the base model and {found} in the adapter",
                folder,
                f"the adapter was trained on {trained_on}, this base is {base}",
                f"use its own base model: --base {trained_on}",
            )


def _refuse_incomplete(
    stored: dict[str, torch.Tensor], loaded: dict[str, torch.Tensor], folder: Path
) -> None:
    missing, extra = sorted(set(loaded) - set(stored)), sorted(set(stored) - set(loaded))
    if missing or extra:
        shown = ", ".join((missing or extra)[:3])
        problem = (
            f"{len(missing)} tensors are missing" if missing else f"{len(extra)} tensors belong to no layer"
        )
        raise _refusal(
            f"the adapter does not fit: {problem}: {shown}",
            folder,
            "it would be applied in part, which changes every number without a word",
            "restore the whole adapter folder, or use the base model it was trained on",
        )


def _refusal(problem: str, folder: Path, why: str, fix: str) -> ModelError:
    return ModelError(explain(problem, where=str(folder), why=why, fix=fix))
