"""A loaded adapter -> is it there: which modules carry it, how large B.A is beside the weights it changes.

Shapes: R LoRA rank, I and O in- and out-features.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lorascope.lm.adapter import trainable_parameters
from lorascope.lm.pair import Pair

_BLOCK = re.compile(r"\.(\d+)\.")


def low_rank_norm(b_OR: np.ndarray, a_RI: np.ndarray) -> float:
    """Frobenius norm of B A without forming it.

        || B A ||_F = || R_b R_a^T ||_F,   B = Q_b R_b,   A^T = Q_a R_a

    Q_b and Q_a have orthonormal columns, which change no length, so R x R numbers are left in place of O x I.
    The shorter way through the Gram matrices, sqrt(tr(B^T B A A^T)), loses half of the digits where B and A
    nearly cancel.

    Args:
        b_OR: [O, R].
        a_RI: [R, I].

    Returns:
        The norm, >= 0; exactly 0 where B or A is 0.
    """
    if not b_OR.any() or not a_RI.any():
        return 0.0
    core_RR = np.linalg.qr(b_OR)[1] @ np.linalg.qr(a_RI.T)[1].T
    return float(np.linalg.norm(core_RR))


def adapter_presence(pair: Pair) -> dict[str, Any]:
    """Look for the adapter in a pair just loaded.

    Call it before `pair.base()` is used: PEFT makes the adapter's weights trainable when it switches the
    adapter on again, and the count would no longer be that of a model loaded for inference.

    Returns:
        JSON values: modules with LoRA and how many could have it, norms of (alpha / rank) B A by module,
        layer and kind of module, alone and relative to W, and the number of trainable parameters with the
        reason why 0 is right.
    """
    modules = [_module_facts(name, one) for name, one in _lora_layers(pair.model)]
    num_adapter = sum(
        parameter.numel()
        for name, parameter in pair.model.named_parameters()
        if ".lora_" in name or ".modules_to_save." in name
    )
    num_trainable = sum(parameter.numel() for parameter in trainable_parameters(pair.model))
    return {
        "num_modules": len(modules),
        "num_linear_layers": _num_linear_layers(pair.model),
        "other_trained_parts": _other_parts(pair.model),
        "adapter_parameters": num_adapter,
        "trainable_parameters": num_trainable,
        "trainable_why": _why_trainable(num_trainable, num_adapter),
        **_together(modules),
        "by_layer": _grouped(modules, "layer"),
        "by_kind": _grouped(modules, "kind"),
        "modules": modules,
    }


def _lora_layers(model: Any) -> Iterable[tuple[str, Any]]:
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            yield name.removeprefix("base_model.model."), module


def _module_facts(name: str, module: Any) -> dict[str, Any]:
    """One module with LoRA: rank, factor, norm of what it adds, norm of what it adds to."""
    active = module.active_adapters[0]
    factor = float(module.scaling[active])
    if active in module.lora_A:
        a, b = module.lora_A[active].weight, module.lora_B[active].weight
    else:
        a, b = module.lora_embedding_A[active], module.lora_embedding_B[active]
    # Convolutions hold B and A as kernels; flattened they are the same product.
    a_RI, b_OR = (_float64(one).reshape(one.shape[0], -1) for one in (a, b))
    weight: Any = getattr(module.base_layer, "weight", None)
    plain = weight is not None and weight.is_floating_point() and a_RI.shape[0] == b_OR.shape[1]
    norm = factor * low_rank_norm(b_OR, a_RI) if a_RI.shape[0] == b_OR.shape[1] else None
    weight_norm = float(torch.linalg.vector_norm(weight, dtype=torch.float64)) if plain else None
    block = _BLOCK.search(name)
    return {
        "name": name,
        "layer": block[1] if block else "outside the layers",
        "kind": name.rsplit(".", 1)[-1],
        "rank": int(module.r[active]),
        "factor": factor,
        "norm": norm,
        "weight_norm": weight_norm,
        "relative": norm / weight_norm if norm is not None and weight_norm else None,
    }


def _float64(tensor: Any) -> np.ndarray:
    values: np.ndarray = tensor.detach().to("cpu", torch.float64).numpy()
    return values


def _grouped(modules: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Norms of the modules of each layer or kind together, in the model's order."""
    names = list(dict.fromkeys(one[key] for one in modules))
    return [{key: name, **_together([one for one in modules if one[key] == name])} for name in names]


def _together(modules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Norm over several modules as if their weights stood in one vector; None where one is not known."""
    norm, weight = _root_sum(modules, "norm"), _root_sum(modules, "weight_norm")
    return {
        "norm": norm,
        "weight_norm": weight,
        "relative": norm / weight if norm is not None and weight else None,
    }


def _root_sum(modules: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [one[key] for one in modules]
    return None if None in values else float(np.sqrt(np.sum(np.square(values))))


def _num_linear_layers(model: Any) -> int:
    """Linear layers of the base model but its head."""
    from lorascope.lm.adapter import linear_layer_names

    return sum(".lora_" not in f".{name}" for name in linear_layer_names(model))


def _other_parts(model: Any) -> list[str]:
    """What an adapter may bring beside A and B; then B.A = 0 does not mean that it changes nothing."""
    names = [name for name, _ in model.named_parameters()]
    found = []
    if any(".modules_to_save." in name for name in names):
        found.append("whole modules (modules_to_save)")
    if any("lora_magnitude_vector" in name for name in names):
        found.append("magnitudes (DoRA): B.A is then the change of direction only")
    if any(".lora_B." in name and name.endswith(".bias") for name in names):
        found.append("a bias beside B")
    return found


def _why_trainable(num_trainable: int, num_adapter: int) -> str:
    if num_trainable:
        return (
            f"{num_trainable:,} parameters are trainable although the adapter was loaded for inference: no "
            "answer depends on it, but an optimizer would change them"
        )
    return (
        f"0 trainable parameters is right: the adapter was loaded for inference, so its {num_adapter:,} "
        "parameters take part in every forward pass and none waits for an optimizer. It is no sign of a "
        "missing adapter; norms of B.A that are 0, and logits that do not move, are"
    )
