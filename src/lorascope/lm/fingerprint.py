"""Short proofs of which base model and which tokenizer a number was made with."""

import hashlib
import json
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lorascope.lm.find import find_base

_SAMPLES = 4096
_BLOCKS, _BLOCK_BYTES = 64, 4096
# Not part of what a base model is: where it came from, how it was loaded, what training and generation set.
_NOT_IDENTITY = (
    "_name_or_path",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "use_cache",
    "architectures",
)


def base_fingerprint(model: PreTrainedModel | torch.nn.Module) -> str:
    """Hash a base model: its config, and the name, shape and a sample of the values of each of its weights.

    A sample, because hashing all of 8B parameters takes longer than many evaluations: 4,096 evenly spaced
    values of each weight, the last one included. Values are rounded to bf16 first, so a model loaded as
    float32 and the same loaded as bf16 agree. Another fine-tune, a merge, a resized vocabulary or a quantised
    load changes it; a change of a few single weights between the sampled ones does not. Under PEFT the
    adapter is left out: the fingerprint of a model is the same before and after it gets one.

    Args:
        model: A model as loaded, or a PeftModel around it.

    Returns:
        64 hexadecimal digits of SHA-256.
    """
    digest = hashlib.sha256(json.dumps(_identity(model), sort_keys=True).encode())
    weights = {_base_name(name): weight for name, weight in model.named_parameters() if "lora_" not in name}
    for name in sorted(weights):
        weight = weights[name]
        digest.update(f"\n{name} {list(weight.shape)} ".encode())
        digest.update(_sampled_bytes(weight.detach()))
    return digest.hexdigest()


def base_identity(base: str, *, revision: str | None = None) -> str:
    """Tell one base model from another by its files, without loading them: cheap before every stage.

    Args:
        base: A folder or Hub name.
        revision: Of a Hub model.

    Returns:
        The commit of a Hub model; of a folder a SHA-256 over name, size and 64 evenly spaced blocks of 4 KiB
        of each weight file.

    Raises:
        ModelError: There is no such model.
    """
    found = find_base(base, revision=revision)
    if found.commit is not None:
        return found.commit
    digest = hashlib.sha256()
    for path in sorted(found.folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            for block in range(_BLOCKS):
                file.seek(block * max(0, size - _BLOCK_BYTES) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash what a tokenizer does to text: vocabulary, merges, normalisation, special tokens, chat template.

    Padding and truncation are left out, as is the pad token: they are settings of a call, and no number of
    ours depends on them.

    Args:
        tokenizer: Fast or slow.

    Returns:
        64 hexadecimal digits of SHA-256.
    """
    special = {
        name: str(token) for name, token in tokenizer.special_tokens_map.items() if name != "pad_token"
    }
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules: dict[str, Any]
    if backend is not None:
        rules = json.loads(backend.to_str())
        rules.pop("padding", None)
        rules.pop("truncation", None)
    else:
        rules = {"class": type(tokenizer).__name__, "vocab": tokenizer.get_vocab()}
    parts = {"rules": rules, "special": special, "chat_template": tokenizer.chat_template}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _identity(model: PreTrainedModel | torch.nn.Module) -> dict[str, Any]:
    """The config without what loading, training and generating may set."""
    config = getattr(model, "config", None)
    settings: dict[str, Any] = config.to_dict() if config is not None and hasattr(config, "to_dict") else {}
    kept = {key: value for key, value in settings.items() if key not in _NOT_IDENTITY and "drop" not in key}
    kept.pop("_attn_implementation", None)
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def _base_name(name: str) -> str:
    """The name a weight had before PEFT wrapped its layer."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _sampled_bytes(weight: torch.Tensor) -> bytes:
    flat = weight.reshape(-1)
    if flat.numel() > _SAMPLES:
        # Integer arithmetic in int64: torch.linspace would round the last index past 2^24 values.
        index = torch.arange(_SAMPLES, device=flat.device) * (flat.numel() - 1) // (_SAMPLES - 1)
        flat = flat[index]
    if flat.is_floating_point():
        flat = flat.to(torch.bfloat16)
    return flat.contiguous().cpu().view(torch.uint8).numpy().tobytes()
