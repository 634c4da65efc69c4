"""Turns a base model's own dropouts off: modules, numbers on modules, and numbers read from the config."""

import torch


def set_dropout(model: torch.nn.Module, share: float) -> int:
    """Set every dropout of a base model, those of LoRA left alone.

    Changing the config of a built model is not enough and not needless either: GPT-2 copies it into
    nn.Dropout modules, Llama into plain numbers on its attention, and GPT-J and Falcon read the config at
    every forward pass. So all three are set. Layer drop, which skips whole layers, is set only to 0.

    Args:
        model: A model as loaded.
        share: The share of values to drop while training, in [0, 1).

    Returns:
        How many settings changed.
    """
    changed = 0
    for name, module in model.named_modules():
        if "lora_" in name:
            continue
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            changed += module.p != share
            module.p = share
            continue
        changed += _set_numbers(vars(module), share)
    config = getattr(model, "config", None)
    for settings in (config, getattr(config, "text_config", None)):
        if settings is not None:
            changed += _set_numbers(vars(settings), share)
    return changed


def _set_numbers(settings: dict[str, object], share: float) -> int:
    """Set the numbers whose name speaks of dropping, such as attention_dropout, attn_pdrop and layerdrop."""
    changed = 0
    for name, value in settings.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or "drop" not in name or (share > 0 and "layer" in name):
            continue
        changed += value != share
        settings[name] = share
    return changed
