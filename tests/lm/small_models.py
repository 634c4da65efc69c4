"""Small models of every architecture that packs, and examples to run through them."""

import warnings
from typing import Any

import numpy as np
import torch

from lorascope.lm.adapter import attach_adapter
from lorascope.run.dataset import IGNORE, Example

SMALL = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 120,
    "max_position_embeddings": 128,
    "head_dim": 12,
    "pad_token_id": 0,
}
GPT2 = {"n_embd": 48, "n_layer": 2, "n_head": 4, "vocab_size": 120, "n_positions": 128}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
PACKED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "gpt2": ("gpt2", {**GPT2, **NO_DROPOUT}, ["c_attn", "c_proj", "c_fc"]),
    "llama": ("llama", SMALL, ["q_proj", "v_proj", "down_proj"]),
    "qwen2": ("qwen2", SMALL, ["q_proj", "k_proj"]),
    "qwen3": ("qwen3", SMALL, ["q_proj", "o_proj"]),
    "mistral": ("mistral", {**SMALL, "sliding_window": None}, ["q_proj", "up_proj"]),
    "gemma": ("gemma", SMALL, ["q_proj", "v_proj"]),
    "gemma3": ("gemma3_text", SMALL, ["q_proj", "v_proj"]),
    "phi3": ("phi3", SMALL, ["qkv_proj", "down_proj"]),
    "olmo2": ("olmo2", SMALL, ["q_proj", "v_proj"]),
    "qwen3 with experts": (
        "qwen3_moe",
        {**SMALL, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
        ["q_proj", "v_proj"],
    ),
}


def model_of(
    kind: str,
    config: dict[str, Any],
    targets: list[str] | None = None,
    *,
    dropout: float = 0.0,
    scale: float = 5.0,
) -> Any:
    """A small model with weights large enough for every fault to show, and an adapter whose B is not zero."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config), dtype=torch.float32).eval()
    for parameter in base.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            parameter.mul_(scale)
    if targets is None:
        return base
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = attach_adapter(base, rank=4, alpha=8, dropout=dropout, target_modules=targets, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    return model


def examples(count: int = 6, *, shared: int = 12) -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        ids = rng.integers(1, 120, 20 + 5 * number)
        ids[:shared] = np.arange(1, shared + 1)
        labels = ids.copy()
        labels[: shared + 2 + number % 3] = IGNORE
        made.append(Example(example_id=str(number), input_ids=ids, labels=labels))
    return made
