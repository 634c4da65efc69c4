"""A prepare killed at any moment leaves nothing half, and the next gives what an undisturbed one gives."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lorascope.run.dataset import load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json

pytestmark = pytest.mark.slow

NUM_KILLS = 10


def rows(num: int) -> list[dict[str, Any]]:
    """Rows of which every tenth nearly repeats the one before it, so that the near pass has work too."""
    generator = random.Random(0)
    words = [f"w{n}" for n in range(2000)]
    found: list[dict[str, Any]] = []
    for number in range(num):
        answer = " ".join(generator.choices(words, k=40))
        if number % 10 == 9:
            answer = found[-1]["output"].rsplit(" ", 1)[0] + " other"
        found.append({"instruction": f"Tell me {' '.join(generator.choices(words, k=8))}", "output": answer})
    return found


def start(data: Path, base: Path, run: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "lorascope", "prepare", str(data), "--base", str(base), "--out", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # its worker processes are killed with it
    )


def test_a_prepare_killed_at_any_moment_starts_again_cleanly(alpaca_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows(10_000)))
    begun = time.monotonic()
    whole = start(data, alpaca_base, tmp_path / "whole")
    assert whole.wait(timeout=120) == 0
    took = time.monotonic() - begun
    expected = read_json(RunFolder(tmp_path / "whole").prepare_report)
    assert expected["near_duplicates"]["answer"]["rows"] >= 1_950  # 1,000 pairs, if a few share a third row

    generator, run = random.Random(1), RunFolder(tmp_path / "run")
    cut_short = 0
    for _ in range(NUM_KILLS):
        process = start(data, alpaca_base, run.path)
        try:
            process.wait(timeout=generator.uniform(0.2, 1.0) * took)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            cut_short += 1
        if run.prepare_report.exists():  # what can be seen is whole
            assert load_splits(run.dataset).keys() == {"train", "validation"}
            assert read_json(run.prepare_report) == expected
            shutil.rmtree(run.path)  # finished too soon: the next is to be killed as well
    assert cut_short > NUM_KILLS // 2

    last = start(data, alpaca_base, run.path)
    assert last.wait(timeout=120) == 0
    assert read_json(run.prepare_report) == expected
    assert {path.name for path in run.path.iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    assert {path.name for path in run.stage("prepare").iterdir()} == {
        path.name for path in (tmp_path / "whole" / "prepare").iterdir()
    }
