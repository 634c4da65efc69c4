"""The optimizer of a training, by its name in the recipe."""

import importlib
from collections.abc import Sequence

import torch

from lorascope.errors import ConfigError, explain

_BITSANDBYTES = {
    "adamw_8bit": "AdamW8bit",
    "paged_adamw": "PagedAdamW32bit",
    "paged_adamw_8bit": "PagedAdamW8bit",
}
_UNPAGED = {"paged_adamw": "AdamW32bit", "paged_adamw_8bit": "AdamW8bit"}
"""Off a GPU: pages are moved between its memory and the machine's own."""


def make_optimizer(
    name: str, parameters: Sequence[torch.nn.Parameter], *, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Make AdamW over an adapter's weights.

    Args:
        name: "adamw" is torch's own; "adamw_8bit", "paged_adamw" and "paged_adamw_8bit" are bitsandbytes'.
        parameters: float32.
        rate: Learning rate.
        weight_decay: Decoupled.

    Raises:
        ConfigError: bitsandbytes is asked for and cannot be loaded.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay)
    try:
        kinds = importlib.import_module("bitsandbytes").optim
    except (ImportError, RuntimeError, OSError) as error:
        raise ConfigError(
            explain(
                f"train.optimizer: {name} needs bitsandbytes, which cannot be loaded",
                where="train.optimizer of the recipe",
                why=str(error).splitlines()[0] if str(error) else type(error).__name__,
                fix='pip install "lorascope[bitsandbytes]", or train.optimizer: adamw',
            )
        ) from error
    unpaged = {} if parameters[0].is_cuda else _UNPAGED
    kind = getattr(kinds, unpaged.get(name, _BITSANDBYTES[name]))
    made: torch.optim.Optimizer = kind(parameters, lr=rate, weight_decay=weight_decay)
    return made


def optimizer_told(name: str, device: torch.device) -> str | None:
    """What a user should know about an optimizer on a device; None where it is what was asked for."""
    if name in _UNPAGED and device.type != "cuda":
        return f"train.optimizer: {name} has no pages on {device.type}; its moments stay in memory"
    return None


def moment_bytes(name: str, parameters: Sequence[torch.nn.Parameter]) -> int:
    """Bytes of the gradients and both moments of an adapter's weights."""
    moments = 2 if name.endswith("8bit") else 8
    return sum(one.numel() * (4 + moments) for one in parameters)
