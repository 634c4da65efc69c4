"""Activation checkpointing: layers keep their input alone and compute the rest again in the backward pass."""

from typing import Any


def recompute_activations(model: Any) -> None:
    """Let every layer of a model keep its input alone from now on.

    Args:
        model: A PEFT model or a base model, in training mode when it is to take effect.
    """
    # Renamed in transformers 5. Not reentrant: nothing below the lowest adapter needs a gradient, so that
    # nothing is computed for it there.
    turn_on = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    turn_on({"use_reentrant": False})


def recomputes_activations(model: Any) -> bool:
    """Whether `recompute_activations` was called."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
