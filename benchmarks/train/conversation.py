"""Measured processes that live through all rounds: each waits, does one step when told, and reports it.

Contenders can then take turns step by step, and loading and warming up are outside every figure. Lines of
JSON go through the process's standard output, orders through its standard input. Standard library only.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

_MARK = "@step "
"""Begins the lines that are reports: libraries print to standard output too."""
START_LIMIT_S = 240


class Failed(Exception):
    """A process ended, or took too long; says which and why."""


def report(**facts: Any) -> None:
    """Tell the parent how a step went."""
    print(_MARK + json.dumps(facts), flush=True)


def wait_for_order() -> bool:
    """Wait until the parent wants another step; False where it wants no more."""
    return sys.stdin.readline().strip() == "go"


def serve(step: Callable[[int], dict[str, Any]]) -> None:
    """Do steps as they are asked for; what each returns is reported with its time and the memory so far."""
    report(ready=True)
    number = 0
    while wait_for_order():
        start = time.perf_counter()
        facts = step(number)
        seconds = time.perf_counter() - start
        report(**{"seconds": seconds, "peak_gib": peak_gib(), **facts})
        number += 1


def peak_gib() -> float:
    """The most resident memory this process has had."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def free_gib() -> float:
    """Memory that a further process could have; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20


class Worker:
    """A measured process, seen from the parent."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        environ = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONWARNINGS": "ignore",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environ,
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(_MARK):
                self._lines.put(line[len(_MARK) :])
        self._lines.put(None)

    def _next(self, limit_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=limit_s)
        except Empty:
            self.stop()
            raise Failed(f"{self.name}: stopped after {limit_s:.0f} s") from None
        if line is None:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read()[-2000:]
            raise Failed(f"{self.name}: ended with {self._process.returncode}\n{said}")
        told: dict[str, Any] = json.loads(line)
        return told

    def wait_until_ready(self) -> None:
        """Wait until it is loaded and warmed up."""
        self._next(START_LIMIT_S)

    def step(self, limit_s: float) -> dict[str, Any]:
        """Have it do one step.

        Raises:
            Failed: It took longer than that and was stopped, or it ended.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and `_next` says why
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        return self._next(limit_s)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                close_quietly(stream)


def close_quietly(stream: Any) -> None:
    """Close a pipe whose other end may be gone."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        stream.close()
