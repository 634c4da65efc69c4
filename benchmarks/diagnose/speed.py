"""How long reading a long log takes, and what watching costs a training.

    python benchmarks/diagnose/speed.py [own|state|watch ...] [--entries 1000000] [--rounds 3] [--epochs 8]

`own` makes a run with a step log of so many lines and 21 evaluations, `state` a trainer_state.json of so many
entries, and `lorascope diagnose` reads each: seconds of the clock and of the processor, and peak memory.
`watch` trains the starter model on its rows, in turn with verdicts and step log and without: processor time
of the training, because a busy machine stretches the clock; and the shares of judging, logging and evaluating
by the clock of the training itself. Prints one JSON object; writes nothing else.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

LORASCOPE = [sys.executable, "-m", "lorascope"]
WANTED = {"own": {"wall_s": 2.0, "peak_mb": 500.0}, "state": {"wall_s": 8.0, "peak_mb": 2000.0}}
"""At most, on an idle machine of two cores."""


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds of the clock and of the processor, and peak memory, of a command."""
    started = time.perf_counter()
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "wall_s": round(seconds, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024),  # Linux counts in KiB
    }


def write_own(folder: Path, entries: int) -> None:
    """A finished run with a step log, evaluations of 200 rows, and nothing else."""
    from lorascope.run.records import EvalRecord, SetScore, StepRecord, rewrite_lines

    generator = np.random.default_rng(0)
    run = folder / "run"
    (run / "train").mkdir(parents=True)
    (run / "config.json").write_text('{"base": {"id": "gpt2"}, "data": "rows.json"}')
    noise, norms = generator.lognormal(0.0, 0.1, entries), generator.random(entries)
    steps = [
        StepRecord(
            step=step,
            epoch=3 * step / entries,
            loss=2 * math.exp(-step / entries) * float(noise[step - 1]),
            target_tokens=900 + step % 100,
            num_examples=16,
            learning_rate=2e-4 * (1 - step / (entries + 1)),
            grad_norm=float(norms[step - 1]),
            seconds=0.51,
        )
        for step in range(1, entries + 1)
    ]
    rewrite_lines(run / "train" / "steps.jsonl", steps)
    tokens = generator.integers(20, 200, 200)
    rows = tokens * generator.uniform(1.5, 2.5, 200)

    def score(done: float) -> SetScore:
        nll = rows * math.exp(-done) * generator.lognormal(0.0, 0.02, 200)
        return SetScore(
            loss=float(nll.sum() / tokens.sum()),
            low=None,
            high=None,
            num_examples=200,
            target_tokens=int(tokens.sum()),
            nll_sums=tuple(nll.tolist()),
            num_tokens=tuple(tokens.tolist()),
        )

    evals = [
        EvalRecord(
            step=entries * one // 20,
            epoch=3 * one / 20,
            full=one == 20,
            precision="float32",
            probe=score(one / 20),
            validation=score(0.8 * one / 20),
            seconds=2.0,
        )
        for one in range(21)
    ]
    rewrite_lines(run / "train" / "evals.jsonl", evals)
    summary = {"schema": 1, "steps": entries, "best_step": entries, "stopped": None}
    (run / "train" / "summary.json").write_text(json.dumps(summary))


def write_state(folder: Path, entries: int) -> None:
    """A trainer_state.json as transformers writes it, one entry of a hundred an evaluation."""
    generator = np.random.default_rng(0)
    history: list[dict[str, float]] = []
    for number in range(1, entries + 1):
        step, height = number - number // 100, 2 * math.exp(-number / entries)
        at = {"epoch": 3 * number / entries, "step": step}
        if number % 100 == 0:
            loss = height * float(generator.lognormal(0.0, 0.005))
            speeds = {"eval_runtime": 1.5, "eval_samples_per_second": 100.1, "eval_steps_per_second": 12.5}
            history.append({"eval_loss": loss, **speeds, **at})
            continue
        loss, norm = height * float(generator.lognormal(0.0, 0.1)), float(generator.random())
        rate = 2e-4 * (1 - number / (entries + 1))
        history.append({"grad_norm": norm, "learning_rate": rate, "loss": loss, **at})
    state = {"global_step": history[-1]["step"], "max_steps": history[-1]["step"], "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state, indent=2))


def reading(kind: str, entries: int, rounds: int) -> dict[str, Any]:
    """How long `lorascope diagnose` reads what was made; the best round is the least disturbed."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # In a process of its own: a child's peak memory is never told below that of its parent.
        command = [
            sys.executable,
            __file__,
            "write",
            "--run",
            made,
            "--side",
            kind,
            "--entries",
            str(entries),
        ]
        subprocess.run(command, check=True)
        path = folder / ("run" if kind == "own" else "trainer_state.json")
        tried = [measured([*LORASCOPE, "diagnose", str(path)], folder) for _ in range(rounds)]
    best = min(tried, key=lambda one: one["wall_s"])
    return {"entries": entries, **best, "at_most": WANTED[kind], "rounds": tried}


def train_once(run: Path, *, watched: bool) -> dict[str, float]:
    """Train a prepared run in this process, and account for judging, logging and evaluating."""
    from lorascope.pipeline import judge_run
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import RunFolder
    from lorascope.run.records import LineLog, rewrite_lines
    from lorascope.train import stage

    spent = {"judging": 0.0, "logging": 0.0, "evaluating": 0.0}
    unwritten: list[Any] = []

    def timed(name: str, work: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                spent[name] += time.perf_counter() - started

        return call

    def keep(log: LineLog, record: Any) -> None:
        if log.path.name == "steps.jsonl":
            unwritten.append(record)
        else:
            append(log, record)

    def write_and_finish(training: Any, *given: Any) -> Any:
        if unwritten:
            rewrite_lines(training.run.steps, unwritten)
        return finish(training, *given)

    append, finish = LineLog.append, stage.finish
    folder = RunFolder(run)
    with (
        mock.patch.object(stage, "_judge", timed("judging", stage._judge)),
        mock.patch.object(stage, "_judge_finished", timed("judging", stage._judge_finished)),
        mock.patch.object(stage, "_log_step", timed("logging", stage._log_step)),
        mock.patch.object(stage, "evaluate", timed("evaluating", stage.evaluate)),
        contextlib.nullcontext() if watched else mock.patch.object(LineLog, "append", keep),
        mock.patch.object(stage, "finish", write_and_finish),
    ):
        started, before = time.perf_counter(), time.process_time()
        stage.train_run(folder, recipe_of(folder), judge=judge_run if watched else None)
    return {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - before, **spent}


def watching(rounds: int, epochs: float) -> dict[str, Any]:
    """What verdicts and step log cost a training of the starter, and what evaluating costs."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([*LORASCOPE, "demo", "--files", made], check=True, stdout=subprocess.DEVNULL)
        ready = folder / "ready"
        words = ["prepare", str(folder / "my_rows.jsonl"), "--base", str(folder / "starter-base")]
        settings = ["--set", f"train.epochs={epochs:g}", "--set", "train.learning_rate=1e-3"]
        for command in ([*words, "--out", str(ready), *settings], ["check", str(ready)]):
            subprocess.run([*LORASCOPE, *command], check=True, stdout=subprocess.DEVNULL)
        tried: dict[str, list[dict[str, float]]] = {"watched": [], "bare": []}
        for number in range(rounds):
            for side in sorted(tried, reverse=number % 2 == 0):
                run = folder / side
                shutil.rmtree(run, ignore_errors=True)
                shutil.copytree(ready, run)
                command = [sys.executable, __file__, "train", "--run", str(run), "--side", side]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                tried[side].append(json.loads(done.stdout.splitlines()[-1]))
        return {"epochs": epochs, **_shares(folder / "watched"), **_cost(tried), "rounds": tried}


def _cost(tried: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """What watching adds, by processor time of both sides and by the clock within the watched one."""
    cpu = {side: statistics.median(one["cpu_s"] for one in all_of) for side, all_of in tried.items()}
    inside = [(one["judging"] + one["logging"]) / one["wall_s"] for one in tried["watched"]]
    return {
        "watching_share_of_cpu": round(cpu["watched"] / cpu["bare"] - 1, 4),
        "watching_share_by_clock": round(statistics.median(inside), 4),
        "watching_at_most": 0.01,
    }


def _shares(run: Path) -> dict[str, Any]:
    """Seconds of evaluations against those of steps, as the training itself noted them."""
    from lorascope.run.folder import RunFolder
    from lorascope.run.records import read_evals, read_steps

    folder = RunFolder(run)
    steps, evals = read_steps(folder.steps), read_evals(folder.evals)
    stepping, evaluating = sum(one.seconds for one in steps), sum(one.seconds for one in evals)
    during = sum(one.seconds for one in evals if not one.full)
    return {
        "steps": len(steps),
        "evaluations": len(evals),
        "step_seconds": round(stepping, 2),
        "evaluation_seconds": round(evaluating, 2),
        "evaluating_to_stepping": round(evaluating / stepping, 4),
        "evaluating_to_stepping_but_the_last": round(during / stepping, 4),
        "evaluating_share_at_most": 0.10,
    }


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["own", "state", "watch"])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.what == ["write"]:
        (write_own if asked.side == "own" else write_state)(asked.run, asked.entries)
        return
    if asked.run is not None:
        print(json.dumps(train_once(asked.run, watched=asked.side == "watched")))
        return
    found = {
        kind: watching(asked.rounds, asked.epochs)
        if kind == "watch"
        else reading(kind, asked.entries, asked.rounds)
        for kind in asked.what
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
