import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.run.folder import RunFolder


@pytest.fixture(scope="session")
def trained_run(alpaca_base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run through prepare, check and train, 8 of its 40 rows held out; copy it to change it."""
    import torch

    from lorascope.check.stage import check_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.current import recipe_of
    from lorascope.run.recipe import make_recipe
    from lorascope.train.stage import train_run

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    rows = [
        {
            "instruction": f"Say number {n}.",
            "input": "",
            "output": "The number is " + f"{n} " * (1 + n % 5),
            "family": "odd" if n % 2 else "even",
            "half": "low" if n < 20 else "high",
        }
        for n in range(40)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    recipe = {
        "base": str(alpaca_base),
        "data": str(folder / "rows.json"),
        "prepare": {"validation": 8, "max_length": 200},
        "lora": {"rank": 4},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.02, "eval_steps": 4},
    }
    run = RunFolder(folder / "run")
    prepare_run(run, make_recipe(recipe))
    check_run(run, recipe_of(run))
    train_run(run, recipe_of(run))
    return run


@pytest.fixture
def own_run(trained_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the trained run."""
    return RunFolder(Path(shutil.copytree(trained_run.path, tmp_path / "run")))


@pytest.fixture
def evaluate() -> Callable[..., dict[str, Any]]:
    """Evaluate a run: evaluate(run, "eval.batch_size=1", adapter="best")."""

    def call(run: RunFolder, *settings: str, **options: Any) -> dict[str, Any]:
        from lorascope.eval.stage import eval_run
        from lorascope.run.current import recipe_of

        return eval_run(run, recipe_of(run, settings), **options)

    return call
