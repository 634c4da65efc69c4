import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch


def save_random_adapter(base: Path, folder: Path, *, spread: float = 0.02, seed: int = 0) -> None:
    """Write an adapter for every linear layer, B drawn from N(0, spread); with 0 it does nothing."""
    from lorascope.lm.adapter import attach_adapter, resolve_target_modules, save_adapter
    from lorascope.lm.load import load_base, load_tokenizer
    from lorascope.run.commit import committed_folder

    model = load_base(str(base))
    targets = resolve_target_modules("auto", model, str(base))
    wrapped = attach_adapter(model, rank=4, alpha=8.0, dropout=0.0, target_modules=targets, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(spread * torch.randn(parameter.shape, generator=generator))
    with committed_folder(folder, replace=True) as staged:
        save_adapter(wrapped, load_tokenizer(str(base)), staged)


@pytest.fixture
def random_adapter() -> Callable[..., None]:
    """The function above, for tests."""
    return save_random_adapter


@pytest.fixture
def adapted_run(make_run: Callable[..., Any], alpaca_rows: Callable[..., Any]) -> Callable[..., Any]:
    """A prepared run with an adapter as training leaves it: adapted_run(base, "prepare.validation=6")."""

    def make(base: Path, *settings: str, spread: float = 0.02, name: str = "run") -> Any:
        run = make_run(alpaca_rows(24), base, *(settings or ("prepare.validation=6",)), name=name)
        save_random_adapter(base, run.adapter, spread=spread)
        return run

    return make


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Export a run to tmp_path/merged with the recipe it was made with; keywords as of export_run."""

    def call(run: Any, **options: Any) -> dict[str, Any]:
        from lorascope.export.stage import export_run
        from lorascope.run.current import recipe_of

        return export_run(run, recipe_of(run), **{"merged": tmp_path / "merged", **options})

    return call


@dataclass(frozen=True)
class Exported:
    """An exported run; read it, never change it."""

    base: Path
    run: Any
    report: dict[str, Any]
    target: Path


@pytest.fixture(scope="session", params=["gpt2", "llama"])
def exported(
    request: pytest.FixtureRequest,
    alpaca_base: Path,
    chat_base: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """Both layouts of a linear layer: GPT-2's Conv1D (in x out) and Llama's Linear (out x in)."""
    from lorascope.export.stage import export_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    folder = tmp_path_factory.mktemp("exported")
    base = alpaca_base if request.param == "gpt2" else chat_base
    rows = [{"instruction": f"Say number {n}.", "input": "", "output": f"It is {n}."} for n in range(24)]
    (folder / "rows.json").write_text(json.dumps(rows))
    run = RunFolder(folder / "run")
    values = {"base": str(base), "data": str(folder / "rows.json"), "prepare": {"validation": 6}}
    prepare_run(run, make_recipe(values))
    save_random_adapter(base, run.adapter)
    target = folder / "merged"
    return Exported(base, run, export_run(run, recipe_of(run), merged=target), target)


@pytest.fixture(params=["gpt2", "llama"])
def base_folder(request: pytest.FixtureRequest, alpaca_base: Path, chat_base: Path) -> Path:
    """Both layouts of a linear layer: GPT-2's Conv1D (in x out) and Llama's Linear (out x in)."""
    return alpaca_base if request.param == "gpt2" else chat_base


@pytest.fixture
def dropout_folder(alpaca_base: Path, tmp_path: Path) -> Path:
    """The tiny GPT-2 with a dropout of its own."""
    folder = tmp_path / "with-dropout"
    shutil.copytree(alpaca_base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "resid_pdrop": 0.25}))
    return folder
