"""A base model whose adapter can be switched off: base and adapter from the same weights, in one process."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.engine.precision import Precision, choose_device, choose_precision
from lorascope.engine.threads import take_back_threads
from lorascope.errors import ModelError, explain
from lorascope.lm.adapter import load_adapter
from lorascope.lm.batches import pad_id_of
from lorascope.lm.find import find_base
from lorascope.lm.fingerprint import base_fingerprint
from lorascope.lm.hub import fetch, open_repo
from lorascope.lm.load import load_base, load_tokenizer
from lorascope.run.sections import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Base and adapter.

    Attributes:
        model: The PEFT model in evaluation mode; the plain base model where there is no adapter.
        tokenizer: The base model's.
        has_adapter: Whether `model` carries one.
        precision: Of the forward pass.
        base_sha256: Fingerprint of the base model.
        adapter: The adapter's folder.
    """

    model: Any
    tokenizer: Any
    has_adapter: bool
    precision: Precision
    base_sha256: str
    adapter: Path | None

    @property
    def pad_id(self) -> int:
        """The id to pad with."""
        return pad_id_of(self.tokenizer)

    @contextlib.contextmanager
    def base(self) -> Iterator[Any]:
        """The model with its adapter switched off."""
        if not self.has_adapter:
            yield self.model
            return
        with self.model.disable_adapter():
            yield self.model


def pair_of(recipe: Recipe, adapter: Path | str | None, *, expected_base: str | None) -> Pair:
    """Load a recipe's base model in the precision of its evaluations, and an adapter; see `load_pair`."""
    return load_pair(
        recipe.base.id,
        adapter,
        revision=recipe.base.revision,
        precision=recipe.eval.precision,
        expected_base=expected_base,
    )


def load_pair(
    base: str,
    adapter: Path | str | None,
    *,
    revision: str | None = None,
    precision: str = "float32",
    device: str | None = None,
    expected_base: str | None = None,
) -> Pair:
    """Load a base model and, where one is named, its adapter.

    Args:
        base: A folder or Hub name.
        adapter: A folder or Hub name; None loads the base alone.
        revision: Of a Hub base.
        precision: "float32", "bf16" or "fp16".
        device: As torch writes it; None chooses.
        expected_base: Fingerprint the base must have, from the run that trained the adapter.

    Raises:
        ModelError: One of them cannot be loaded, or they do not fit together.
    """
    take_back_threads()
    where = choose_device(device)
    chosen = choose_precision(precision, where)
    folder = None if adapter is None else find_adapter(adapter)
    found = find_base(base, revision=revision)
    tokenizer = load_tokenizer(found)
    model: Any = load_base(found, dtype=chosen.weight_dtype, device=where)
    model.requires_grad_(False)  # nobody trains it here, and a frozen head is what packed rows ask for
    fingerprint = base_fingerprint(model)
    if expected_base is not None and fingerprint != expected_base:
        raise ModelError(
            explain(
                "the base model is not the one this adapter was trained on",
                where=f"base model {base}",
                why=f"its fingerprint is {fingerprint[:12]}, the run's is {expected_base[:12]}",
                fix="use the same model and revision as in training",
            )
        )
    if folder is not None:
        model = load_adapter(model, folder, base)
    model.eval()
    return Pair(
        model=model,
        tokenizer=tokenizer,
        has_adapter=folder is not None,
        precision=chosen,
        base_sha256=fingerprint,
        adapter=folder,
    )


def find_adapter(adapter: Path | str) -> Path:
    """Find an adapter by folder, or fetch it by its Hub name.

    Raises:
        ModelError: It is neither, or the Hub cannot be reached.
    """
    path = Path(os.path.expanduser(adapter))
    name = str(adapter)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        return path  # a missing folder is explained by `read_adapter_config`
    repo = open_repo(name, config="adapter_config.json")
    return fetch(repo, ["adapter_config.json", "adapter_model.safetensors"])
