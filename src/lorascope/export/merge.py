"""Base and adapter -> one plain model, in float32, saved as transformers saves models."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from lorascope.engine.precision import choose_device, choose_precision
from lorascope.engine.threads import take_back_threads
from lorascope.errors import ModelError, explain
from lorascope.lm.adapter import load_adapter, refuse_non_finite
from lorascope.lm.batches import pad_id_of
from lorascope.lm.find import find_base
from lorascope.lm.fingerprint import base_fingerprint
from lorascope.lm.load import load_base, load_tokenizer, quiet
from lorascope.lm.pair import Pair
from lorascope.lm.template import Template
from lorascope.run.sections import BaseSection

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
"""Formats a merged model can be stored in. Merging itself is always float32."""


def load_for_merge(base: BaseSection, adapter: Path, expected_base: str | None) -> Pair:
    """Load base and adapter in float32, with the base's config as it came, so that it is saved as it came.

    Args:
        base: The base model.
        adapter: A folder with a PEFT adapter.
        expected_base: Fingerprint of the base the adapter was trained on; None does not compare.

    Raises:
        ModelError: One of them cannot be loaded, they do not fit, or the base is another than in training.
    """
    take_back_threads()
    device = choose_device(None)
    found = find_base(base.id, revision=base.revision)
    tokenizer = load_tokenizer(found)
    # "keep": eval mode switches dropout off, and a config with zeros would be saved as if it were the base's
    # own.
    model = load_base(found, dtype=torch.float32, device=device, dropout="keep")
    fingerprint = base_fingerprint(model)
    if expected_base is not None and fingerprint != expected_base:
        raise ModelError(
            explain(
                "the base model is not the one this adapter was trained on",
                where=f"base model {base.id}",
                why=f"its fingerprint is {fingerprint[:12]}, the run's is {expected_base[:12]}",
                fix="use the same model and revision as in training",
            )
        )
    peft_model = load_adapter(model, adapter, base.id)
    peft_model.eval()
    return Pair(
        model=peft_model,
        tokenizer=tokenizer,
        has_adapter=True,
        precision=choose_precision("float32", device),
        base_sha256=fingerprint,
        adapter=adapter,
    )


def merge_in_place(pair: Pair) -> Any:
    """Add each adapter product to the weight it belongs to: W + scaling * B A, in float32.

    The pair's own model is used up, so that a model is never in memory twice.

    Returns:
        The plain model, without any trace of PEFT.

    Raises:
        NumericsError: A merged weight is not finite.
    """
    with quiet():
        merged = pair.model.merge_and_unload()
    refuse_non_finite(dict(merged.named_parameters()), where="the merged weights")
    merged.eval()
    return merged


def save_merged(model: Any, tokenizer: Any, template: Template, folder: Path, dtype: str) -> str:
    """Write a merged model as `from_pretrained` reads it, rounding its weights at most once.

    The generation config gets the stop tokens that training taught, so that whatever serves the model stops,
    and none of the base's sampling defaults: what was measured was measured without them.

    Args:
        model: From `merge_in_place`; rounded in place.
        tokenizer: Saved beside it.
        template: The run's, for its stop tokens.
        folder: An empty folder.
        dtype: "float32" or "bf16".

    Returns:
        Hash of every weight as it must be on disk, see `weights_sha256`.
    """
    model.to(DTYPES[dtype])
    defaults = model.generation_config
    model.generation_config = type(defaults)(
        bos_token_id=defaults.bos_token_id,
        eos_token_id=list(template.stop_ids),
        pad_token_id=pad_id_of(tokenizer),
    )
    with quiet():
        model.save_pretrained(str(folder))
        tokenizer.chat_template = template.chat_template or tokenizer.chat_template  # what was trained
        tokenizer.save_pretrained(str(folder))
    return weights_sha256(model, dtype)


def reload_merged(folder: Path, device: torch.device) -> Any:
    """Load what is on disk, as anybody would, for a float32 forward pass (exact for weights in bf16)."""
    model: Any = load_base(str(folder), dtype=torch.float32, device=device)
    return model.requires_grad_(False)  # a frozen head is what packed rows ask for


def weights_sha256(model: Any, dtype: str) -> str:
    """Hash name, shape and every bit of every weight, in the format they are stored in.

    Args:
        model: A plain model.
        dtype: "float32" or "bf16"; weights that were stored in bf16 and loaded as float32 convert back
            exactly.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        digest.update(f"\n{name} {list(weight.shape)} ".encode())
        stored = weight.detach().to(DTYPES[dtype]).contiguous().cpu()
        digest.update(stored.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def num_weights(model: Any) -> int:
    """Weights of the model without its adapter; tied ones count once."""
    return sum(p.numel() for name, p in model.named_parameters() if "lora_" not in name)
