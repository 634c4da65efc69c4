"""Puts the engine's LoRA layer and activation into a model that transformers and PEFT have built.

Names, tensors and files stay theirs: only what a layer's forward pass does is exchanged, and only where it is
the plain case. Every other layer keeps PEFT's own path.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor

from lorascope.engine.lora_linear import lora_linear

_FUSED = "_lorascope_fused"


def fuse_layers(model: Any) -> None:
    """Exchange the forward passes of plain LoRA layers and of GPT-2's activation.

    Args:
        model: A PEFT model or a base model; layers that are fused already stay so.
    """
    from peft.tuners.lora.layer import Linear
    from transformers.activations import NewGELUActivation
    from transformers.pytorch_utils import Conv1D

    for module in model.modules():
        if getattr(module, _FUSED, False):
            continue
        if type(module) is Linear and type(module.base_layer) in (torch.nn.Linear, Conv1D):
            _exchange(module, _lora_forward)
        elif type(module) is NewGELUActivation:
            _exchange(module, _gelu_forward)


def part_layers(model: Any) -> None:
    """Give fused layers their own forward passes back."""
    for module in model.modules():
        if getattr(module, _FUSED, False):
            del module.forward
            delattr(module, _FUSED)


def _exchange(module: Any, forward: Any) -> None:
    module.forward = MethodType(forward, module)  # bound, so that a deep copy of the model binds its own
    setattr(module, _FUSED, True)


def _gelu_forward(_: Any, x: Tensor) -> Tensor:
    """The same formula in one operation and not eight."""
    return torch.nn.functional.gelu(x, approximate="tanh")


def _lora_forward(module: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Fused where one plain adapter is active, PEFT's own where not."""
    name = _plain_adapter(module)
    if name is None or args or kwargs:
        out: Tensor = type(module).forward(module, x, *args, **kwargs)
        return out
    base, dropout = module.base_layer, module.lora_dropout[name]
    return lora_linear(
        x,
        base.weight.T if module.fan_in_fan_out else base.weight,
        base.bias,
        module.lora_A[name].weight,
        module.lora_B[name].weight,
        scale=module.scaling[name],
        dropout=getattr(dropout, "p", 0.0) if module.training else 0.0,
    )


def _plain_adapter(module: Any) -> str | None:
    """The one active adapter of a layer; None where PEFT's own forward pass has to do it."""
    if module.disable_adapters or module.merged or len(module.active_adapters) != 1:
        return None
    (name,) = module.active_adapters
    plain = (
        name in module.lora_A
        and name not in module.lora_variant
        and module.lora_B[name].bias is None
        and type(module.lora_dropout[name]) in (torch.nn.Identity, torch.nn.Dropout)
        and not module.base_layer.weight.requires_grad
    )
    return name if plain else None
