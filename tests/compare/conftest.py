"""Adapters with known weights on the two tiny models, and a run that carries one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def make_adapter(base: Path, folder: Path, *, b_std: float = 0.02) -> Path:
    """Save an adapter whose A is fresh and whose B is drawn from N(0, b_std); 0 leaves B at zero."""
    import torch
    from transformers import AutoModelForCausalLM

    from lorascope.lm.adapter import attach_adapter, resolve_target_modules, save_adapter
    from lorascope.lm.load import load_tokenizer
    from lorascope.run.commit import committed_folder

    model = AutoModelForCausalLM.from_pretrained(base)
    targets = resolve_target_modules("auto", model, str(base))
    peft_model = attach_adapter(model, rank=4, alpha=12, dropout=0.0, target_modules=targets, seed=0)
    draw = torch.Generator().manual_seed(1)
    for name, parameter in peft_model.named_parameters():
        if "lora_B" in name and b_std:
            parameter.data.normal_(0, b_std, generator=draw)
    with committed_folder(
        folder
    ) as staged:  # as training leaves it: with the hashes that later stages insist on
        save_adapter(peft_model, load_tokenizer(str(base)), staged)
    return folder


@pytest.fixture(params=["alpaca_base", "chat_base"])
def base(request: pytest.FixtureRequest) -> Path:
    """Each of the tiny models: Alpaca's template and untransposed weights, ChatML and grouped attention."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def run_with_adapter(make_run: Callable[..., Any], alpaca_rows: Callable[..., Any]) -> Callable[..., Any]:
    """A prepared run with an adapter where training would have left it: run_with_adapter(base, b_std=0)."""

    def make(base: Path, *settings: str, b_std: float = 0.5, name: str = "run") -> Any:
        run = make_run(alpaca_rows(60), base, "prepare.validation=24", *settings, name=name)
        make_adapter(base, run.adapter, b_std=b_std)
        return run

    return make


@pytest.fixture
def pair_of(tmp_path: Path) -> Callable[..., Any]:
    """A base with an adapter, loaded: pair_of(base, b_std=0.02)."""

    def make(base: Path, *, b_std: float = 0.02, precision: str = "float32") -> Any:
        from lorascope.lm.pair import load_pair

        folder = tmp_path / f"adapter-{b_std}"
        if not folder.exists():
            make_adapter(base, folder, b_std=b_std)
        return load_pair(str(base), folder, precision=precision, device="cpu")

    return make
