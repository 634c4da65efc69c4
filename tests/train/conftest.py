import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorascope.run.folder import RunFolder
from lorascope.run.progress import Observer

# 21 examples to train on and 3 to validate; 2 epochs of steps of 4 are 12 steps, the 6th and the 12th of one.
SETTINGS = (
    "prepare.validation=3",
    "prepare.max_length=256",
    "lora.rank=4",
    "lora.dropout=0.1",
    "train.epochs=2",
    "train.batch_size=4",
    "train.row_tokens=512",
    "train.learning_rate=0.01",
    "train.precision=float32",
    "train.eval_steps=4",
    "train.save_steps=2",
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small lose by a second thread, and much on a busy machine."""
    import torch

    torch.set_num_threads(1)


class Recorder(Observer):
    """Keeps what it is told, and calls `at_step` after each step."""

    def __init__(self, at_step: Callable[[int], None] = lambda step: None) -> None:
        self.at_step = at_step
        self.notes: list[str] = []
        self.steps: list[Any] = []
        self.evals: list[Any] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: Any) -> None:
        self.steps.append(record)
        self.at_step(record.step)

    def evaluation(self, record: Any) -> None:
        self.evals.append(record)


@pytest.fixture
def make_recorder() -> Callable[..., Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def _ready(tmp_path_factory: pytest.TempPathFactory, alpaca_base: Path) -> RunFolder:
    from lorascope.check.stage import check_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.current import recipe_of
    from lorascope.run.recipe import make_recipe, with_overrides

    folder = tmp_path_factory.mktemp("ready")
    rows = [
        {"instruction": f"Count to {n}.", "input": "", "output": " ".join(map(str, range(1, n + 1)))}
        for n in range(1, 25)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    run = RunFolder(folder / "run")
    values = with_overrides({"base": str(alpaca_base), "data": str(folder / "rows.json")}, SETTINGS)
    prepare_run(run, make_recipe(values))
    assert check_run(run, recipe_of(run))["passed"]
    return run


@pytest.fixture
def ready_run(_ready: RunFolder, tmp_path: Path) -> Iterator[Callable[[str], RunFolder]]:
    """A prepared and checked run of one's own: ready_run("name")."""

    def make(name: str = "run") -> RunFolder:
        return RunFolder(Path(shutil.copytree(_ready.path, tmp_path / name)))

    yield make


@pytest.fixture
def train(ready_run: Any) -> Callable[..., dict[str, Any]]:
    """Train a run: train(run, "train.epochs=1", resume=True, observer=...)."""

    def call(run: RunFolder, *settings: str, **options: Any) -> dict[str, Any]:
        from lorascope.run.current import recipe_of
        from lorascope.train.stage import train_run

        return train_run(run, recipe_of(run, settings), **options)

    return call


@pytest.fixture(scope="session")
def straight(_ready: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run, trained to its end without interruption. Copy it before changing it."""
    from lorascope.run.current import recipe_of
    from lorascope.train.stage import train_run

    run = RunFolder(Path(shutil.copytree(_ready.path, tmp_path_factory.mktemp("straight") / "run")))
    train_run(run, recipe_of(run))
    return run


def _timeless(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture(scope="session")
def outcome() -> Callable[[RunFolder], dict[str, Any]]:
    """All that a training must come to again: adapters by their bytes, logs without their seconds."""

    def read(run: RunFolder) -> dict[str, Any]:
        summary = json.loads(run.train_summary.read_text())
        return {
            "adapter": (run.adapter / "adapter_model.safetensors").read_bytes(),
            "best": (run.adapter_best / "adapter_model.safetensors").read_bytes(),
            "steps": _timeless(run.steps),
            "evals": _timeless(run.evals),
            "best_step": (summary["best_step"], summary["best_loss"]),
        }

    return read
