"""Rotary positions that depend on what else is in a forward pass."""

from typing import Any

from lorascope.lm.packed import unwrapped

_BY_LENGTH = ("longrope", "su", "dynamic")


def rope_by_length(model: Any) -> str | None:
    """The kind of rotary positions, where their frequencies are chosen by the longest text of a pass.

    Phi-3's longrope takes its long factors as soon as one position of the pass lies beyond
    `original_max_position_embeddings`: a long example turns the positions of all that share its pass. Such a
    model gives each example's own loss only where each runs alone.

    Args:
        model: A PEFT model or a base model.

    Returns:
        "longrope", "su" or "dynamic"; None where positions are the same whatever a pass holds.
    """
    config = getattr(unwrapped(model), "config", None)
    if config is None:
        return None
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    told = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    kinds = [told, *(one for one in told.values() if isinstance(one, dict))]
    named = [str(one.get("rope_type") or one.get("type") or "") for one in kinds]
    return next((one for one in named if one in _BY_LENGTH), None)
