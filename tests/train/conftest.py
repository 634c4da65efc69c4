import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorascope.run.folder import RunFolder
from lorascope.run.progress import Observer

sys.path.insert(0, str(Path(__file__).parent))  # for trials.py

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


@pytest.fixture(autouse=True)
def signals_not_ignored() -> Iterator[None]:
    """The suite may have been started by `nohup` or a shell's `&`, and what they ignore stays ignored."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
    from trials import make_ready

    return make_ready(tmp_path_factory.mktemp("ready"), alpaca_base, SETTINGS)


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


@pytest.fixture(scope="session")
def outcome() -> Callable[[RunFolder], dict[str, Any]]:
    """All that a training must come to again: adapters by their bytes, logs without their seconds."""
    from trials import outcome_of

    return outcome_of


@pytest.fixture(scope="session")
def small_ground(tmp_path_factory: pytest.TempPathFactory, alpaca_base: Path) -> Any:
    """What trials at every call or step need: 6 steps."""
    from trials import make_ground

    folder = tmp_path_factory.mktemp("trials") / "small"
    return make_ground(folder, alpaca_base, (*SETTINGS, "train.epochs=1"))


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory, alpaca_base: Path) -> Any:
    """What a few trials need: the 12 steps of SETTINGS, trained straight."""
    from trials import make_ground

    return make_ground(tmp_path_factory.mktemp("trials") / "short", alpaca_base, SETTINGS)


@pytest.fixture(scope="session")
def long_ground(tmp_path_factory: pytest.TempPathFactory, alpaca_base: Path) -> Any:
    """What many trials need: 60 steps. LORASCOPE_PROOF names a folder where an interrupted proof goes on."""
    from trials import make_ground

    kept = os.environ.get("LORASCOPE_PROOF")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("proof")
    return make_ground(folder / "long", alpaca_base, (*SETTINGS, "train.epochs=10"))
