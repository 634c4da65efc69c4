"""Trials: a training in a forked child that is killed, stopped or sabotaged, and what it must leave behind.

The parent has imported everything, so a trial costs its training and nothing else. The child runs the real
command and tells through a pipe what it begins and ends, so the parent knows where a kill fell and which
commits had been acknowledged by then.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lorascope.check.stage import check_run
from lorascope.cli import display
from lorascope.cli.app import main
from lorascope.prepare.stage import prepare_run
from lorascope.run.commit import verify_folder
from lorascope.run.current import recipe_of
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe, with_overrides
from lorascope.run.records import read_json, read_steps
from lorascope.train import stage
from lorascope.train.checkpoint import committed_steps, load_checkpoint, newest_checkpoint, step_of

assert display  # imported before any fork, as the command does it late

Sabotage = Callable[[], None]
"""What a child does to itself before it starts."""

BEGUN, LOADED = "find_start", "go_back"
_MARKED = (
    BEGUN,
    "build_training",
    LOADED,
    "store_sections",
    "optimizer_step",
    "_log_step",
    "commit_step",
    "_evaluate",
    "_commit_adapter",
    "finish",
)
_A_BUG = 70


@dataclass(slots=True)
class Child:
    """A training in a process of its own.

    Attributes:
        pid: Its process.
        pipe: Where its marks come from.
        said: The file with what it wrote for people.
        marks: What it began and ended so far: (sign, name, steps done, seconds).
    """

    pid: int
    pipe: int
    said: Path
    marks: list[tuple[str, str, int, float]] = field(default_factory=list)
    _rest: bytes = b""
    _code: int | None = None

    def read(self, seconds: float) -> bool:
        """Read marks for so long; whether the child is still there."""
        until = time.monotonic() + seconds
        while select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            data = os.read(self.pipe, 65536)
            if not data:
                return False
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                sign, name, done, at = line.decode().split()
                self.marks.append((sign, name, int(done), float(at)))
        return True

    def wait_for(self, name: str, sign: str) -> bool:
        """Wait until something was begun ("+") or ended ("-"); whether that came."""
        while not any(mark[:2] == (sign, name) for mark in self.marks):
            if not self.read(0.002):
                return False
        return True

    def train_for(self, steps: float, usual_s: float) -> None:
        """Let it train for so many steps, counted by itself: a machine that others use has no usual pace.

        Args:
            steps: The whole ones are waited for; the rest becomes a share of two steps' time, so that it ends
                in the middle of anything.
            usual_s: What a step takes, where it has done none.
        """
        self.wait_for(LOADED, "-")
        begun, whole = time.monotonic(), int(steps)
        while sum(mark[:2] == ("-", "optimizer_step") for mark in self.marks) < whole:
            if not self.read(0.002):
                return
        pace = (time.monotonic() - begun) / whole if whole else usual_s
        self.read((steps - whole) * 2 * pace)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self, limit: float = 60) -> int:
        """Wait for the end; the exit status, negative for a signal that killed it."""
        if self._code is None:
            if self.read(limit):
                self.send(signal.SIGKILL)
                raise AssertionError(f"the training hangs: {self.marks[-3:]}")
            os.close(self.pipe)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    @property
    def words(self) -> str:
        """What it wrote for people."""
        return self.said.read_text()

    @property
    def acknowledged(self) -> int:
        """The last step that was committed before the end; 0 for none."""
        return max((mark[2] for mark in self.marks if mark[:2] == ("-", "commit_step")), default=0)

    @property
    def place(self) -> str:
        """What it was in the middle of: the innermost of what was begun and not ended."""
        open_names: list[str] = []
        for sign, name, _, _ in self.marks:
            open_names.append(name) if sign == "+" else open_names.pop()
        return open_names[-1].strip("_") if open_names else ("loop" if self.marks else "start")


def start(run: RunFolder, *arguments: str, sabotage: Sabotage = lambda: None) -> Child:
    """Fork a child that runs `lorascope train RUN ARGUMENTS`."""
    ours, theirs = os.pipe()
    said = run.path.with_name(f"{run.path.name}.said")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: the parent has no torch threads
        pid = os.fork()
    if pid:
        os.close(theirs)
        return Child(pid, ours, said)
    code = _A_BUG
    try:
        os.close(ours)
        _turn_to(said)
        _mark_all(theirs)
        sabotage()
        main(["train", str(run.path), *arguments])
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _turn_to(said: Path) -> None:
    """Let a child write to nobody's terminal, and listen to signals as a process does that was just made."""
    nobody = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nobody, descriptor)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _mark_all(pipe: int) -> None:
    done = 0

    def marked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal done
            done = getattr(given[0], "done", done) if given else done
            os.write(pipe, f"+ {name} {done} {time.monotonic()}\n".encode())
            result = function(*given, **named)
            os.write(pipe, f"- {name} {done} {time.monotonic()}\n".encode())
            return result

        return call

    for name in _MARKED:
        setattr(stage, name, marked(name, getattr(stage, name)))


def make_ready(folder: Path, base: Path, settings: tuple[str, ...]) -> RunFolder:
    """Prepare and check a run of 21 examples to train on and 3 to validate."""
    rows = [
        {"instruction": f"Count to {n}.", "input": "", "output": " ".join(map(str, range(1, n + 1)))}
        for n in range(1, 25)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    run = RunFolder(folder / "run")
    values = with_overrides({"base": str(base), "data": str(folder / "rows.json")}, settings)
    prepare_run(run, make_recipe(values))
    assert check_run(run, recipe_of(run))["passed"]
    return run


def _timeless(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def outcome_of(run: RunFolder) -> dict[str, Any]:
    """All that a training must come to again: adapters by their bytes, logs without their seconds."""
    summary = json.loads(run.train_summary.read_text())
    return {
        "adapter": (run.adapter / "adapter_model.safetensors").read_bytes(),
        "best": (run.adapter_best / "adapter_model.safetensors").read_bytes(),
        "steps": _timeless(run.steps),
        "evals": _timeless(run.evals),
        "best_step": (summary["best_step"], summary["best_loss"]),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all trials of a proof have in common.

    Attributes:
        folder: Of the proof.
        ready: A prepared and checked run.
        straight: The same, trained to its end by a child that nobody disturbed.
        load_s: How long that child loaded.
        loop_s: How long it trained.
        num_steps: Its steps.
    """

    folder: Path
    ready: RunFolder
    straight: RunFolder
    load_s: float
    loop_s: float
    num_steps: int

    def copy(self, name: str) -> RunFolder:
        """A fresh run to try things on; one of that name that is there goes on."""
        path = self.folder / name
        if not path.exists():
            shutil.copytree(self.ready.path, path.with_name("new"))
            path.with_name("new").rename(path)
        return RunFolder(path)

    @property
    def step_s(self) -> float:
        """What a step takes, with its share of commits and evaluations."""
        return self.loop_s / self.num_steps

    @property
    def outcome(self) -> dict[str, Any]:
        return outcome_of(self.straight)


def make_ground(folder: Path, base: Path, settings: tuple[str, ...]) -> Ground:
    """Prepare a run and train it straight, or read what an interrupted proof has left of that."""
    times, straight = folder / "times.json", RunFolder(folder / "straight")
    if not times.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copytree(base, folder / "base")
        make_ready(folder, folder / "base", settings)
    ready = RunFolder(folder / "run")
    shutil.rmtree(folder / "here", ignore_errors=True)
    here = RunFolder(Path(shutil.copytree(ready.path, folder / "here")))
    stage.train_run(here, recipe_of(here))  # its late imports are the children's too
    if not times.exists():
        shutil.copytree(ready.path, straight.path)
        child = start(straight)
        assert child.end() == 0, child.words
        assert outcome_of(straight) == outcome_of(here)  # a child trains as its parent does
        begun, loaded = child.marks[0][3], next(m[3] for m in child.marks if m[1] == "store_sections")
        values = {
            "load_s": loaded - begun,
            "loop_s": child.marks[-1][3] - loaded,
            "num_steps": len(read_steps(straight.steps)),
        }
        times.write_text(json.dumps(values))
    return Ground(folder=folder, ready=ready, straight=straight, **json.loads(times.read_text()))


def refuse_unsound(run: RunFolder, *, at_least: int = 0, keep: int = 2) -> int:
    """Insist that what a killed or stopped training left can be used.

    Every checkpoint that has its name is whole and loads, finite, into an adapter of its shape; the newest is
    not older than the last acknowledged; adapters that have their name are whole.

    Args:
        run: The run.
        at_least: The last step whose commit was acknowledged.
        keep: How many checkpoints are kept.

    Returns:
        The newest committed step; 0 for none.
    """
    newest, passed_over = newest_checkpoint(run.checkpoints)
    assert passed_over == []
    step = step_of(newest) if newest else 0
    assert step >= at_least, f"step {at_least} was acknowledged, and {step} is the newest"
    committed = committed_steps(run.checkpoints)
    assert len(committed) <= keep + 1  # one more between a commit and the removal of the oldest
    for path in committed:
        loads(path)
    for adapter in (run.adapter, run.adapter_best):
        if adapter.exists():
            verify_folder(adapter)
    return step


def loads(path: Path) -> None:
    """Load a checkpoint into parameters of its adapter's shapes."""
    tensors = {
        name: torch.nn.Parameter(torch.full_like(tensor, torch.nan))
        for name, tensor in load_file(path / "adapter.safetensors").items()
    }
    optimizer = torch.optim.AdamW(tensors.values())
    state = load_checkpoint(path, tensors, optimizer, read_json(path / "state.json")["settings"])
    assert state.step == step_of(path)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert all(len(optimizer.state[tensor]) == 3 for tensor in tensors.values())


@dataclass(frozen=True, slots=True)
class Ledger:
    """Which trials of a proof are done, one line each: an interrupted proof goes on where it stopped."""

    path: Path

    def add(self, **facts: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(facts) + "\n")

    def rows(self, **wanted: Any) -> list[dict[str, Any]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if wanted.items() <= row.items()]


_CALLS = ("open", "mkdir", "chmod", "fsync", "rename", "replace", "unlink", "rmdir")


def nth_call(number: int, act: Callable[[str], None]) -> Sabotage:
    """Sabotage: at the nth call of the training into the operating system's files, `act` comes first."""

    def sabotage() -> None:
        left = number

        def spoiled(name: str) -> Callable[..., Any]:
            function = getattr(os, name)

            def call(*given: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    act(name)
                return function(*given, **named)

            return call

        def spoil(*given: Any, **named: Any) -> Any:
            for name in _CALLS:
                setattr(os, name, spoiled(name))
            return make_room(*given, **named)

        make_room = stage.make_room  # what is before it only reads
        stage.make_room = spoil

    return sabotage
