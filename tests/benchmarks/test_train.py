"""The training benchmark: its page is made from recorded results, and its own side runs on a tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "train"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def step(seconds: float, peak: float = 3.0, *, loss: float = 10.0, tokens: int = 3200) -> dict[str, Any]:
    counts = {"examples": 32, "tokens": tokens, "targets": 1600, "loss": loss}
    return {"seconds": seconds, "peak_gib": peak, **counts}


def recorded(**more: Any) -> dict[str, Any]:
    """Two rounds: lorascope 16 and 8 s, TRL padding-free 32 s each, the classic recipe 160 and 112 s."""
    parts = {"frozen": 6.0, "head": 4.0, "adapters": 1.0, "attention": 1.0}
    cell = {
        "lorascope": [step(16.0), step(8.0)],
        "trl-free": [step(32.0, 8.0, loss=10.0001), step(32.0, 8.0)],
        "trl-length": [step(16.0, 6.0, tokens=1600), step(16.0, 6.0, tokens=1600)],
        "classic": [step(160.0, 5.0), step(112.0, 5.0)],
        "limit": [{"seconds": 12.0, "peak_gib": 1.0, "parts": parts, "examples": 32}] * 2,
    }
    tried = {
        "trl-free": [{"setting": 4, "batch": 32, **step(32.0, 8.0)}],
        "trl-length": [{"setting": 8, "batch": 32, **step(16.0, 6.0, tokens=1600)}],
        "trl": [
            {"setting": 4, "batch": 32, **step(40.0)},
            {"setting": 8, "failed": "trl: stopped after 57 s"},
        ],
        "classic": [{"setting": 4, "batch": 8, **step(40.0)}],
    }
    parity = {"examples": 16, "loss": 1e-8, "gradient": 9e-7, "steps": 50, "passed": True}
    rungs = {"plain": [step(32.0, 6.0)], "sorted": [step(16.0, 5.0)]}
    facts = {
        "date": "2026-01-02",
        "machine": {"cores": 2, "processor": "AMD EPYC"},
        "bf16": None,
        "product": {"torch": "2.13.0"},
        "smoke": False,
    }
    records = {
        "parity": {**parity, "losses_float32": 2e-7},
        "tried float32": tried,
        "cell alpaca float32 batch 32 dropout 0": cell,
        "ladder": rungs,
        "memory": {"512": [step(20.0, 2.0)]},
        "profile": [{**step(16.0), "shares": {"products": 0.8, "copies": 0.2}}],
    }
    return {"facts": facts, "records": {**records, **more}, "spent_s": 600.0, "complete": True}


def page_of(tmp_path: Path, stored: dict[str, Any]) -> str:
    (tmp_path / "train.json").write_text(json.dumps(stored), encoding="utf-8")
    out = tmp_path / "train.md"
    run("--page-only", "--results", str(tmp_path / "train.json"), "--out", str(out))
    return out.read_text(encoding="utf-8")


def test_the_page_says_what_the_records_do(tmp_path: Path) -> None:
    page = page_of(tmp_path, recorded())
    # Rounds of 32 examples in 16 and 8 s: 2 and 4 examples/s, median 3.
    assert "**3.00 examples/s**" in page
    # Padding-free: 32/16 = 2 and 32/8 = 4 times as long, median 3. The classic recipe: 10 and 14, median 12.
    assert "| TRL SFTTrainer, padding-free | passes of 4 | 1.00 | 50 | 3.0x | 8.0 GiB | 1e-5 |" in page
    assert "| times the classic recipe | 14x | 12x | missed by 14 % |" in page
    # Its own order: 1,600 tokens in 16 s over the others' mean length of 100 is 1 example/s.
    assert "| TRL SFTTrainer, grouped by length\\* | passes of 8 | 1.00 |" in page
    # 12 s of 16 and of 8: shares of 0.75 and 1.5, median 1.125.
    assert "| share of the limit | 70 % (moonshot 80 %) | 112 % | reached |" in page
    assert "stopped after 57 s" in page
    assert "plain loop: passes of 4, padded, logits everywhere | 1.00 |  | 1.00x | 6.0 GiB |" in page
    assert "similar lengths padded together, logits up to the targets | 2.00 | 2.00x | 2.00x |" in page


def test_the_page_names_what_peers_do_better(tmp_path: Path) -> None:
    stored = recorded()
    cell = stored["records"]["cell alpaca float32 batch 32 dropout 0"]
    cell["trl-free"] = [step(4.0, 1.0), step(4.0, 1.0)]
    page = page_of(tmp_path, stored)
    assert "- TRL SFTTrainer, padding-free, passes of 4 is faster at batch 32, dropout 0, float32" in page
    assert "- TRL SFTTrainer, padding-free, passes of 4 needs less memory than the defaults: 1.0 GiB." in page


def test_the_charts_hold_no_script_and_name_every_bar(tmp_path: Path) -> None:
    page_of(tmp_path, recorded())
    chart = (tmp_path / "train.svg").read_text(encoding="utf-8")
    assert "<script" not in chart
    assert "prefers-color-scheme: dark" in chart
    for name in ("lorascope", "TRL, padding-free", "TRL, grouped by length", "Trainer, padded to 512"):
        assert f">{name}</text>" in chart
    assert (tmp_path / "train-ladder.svg").is_file()


@pytest.mark.slow
@pytest.mark.skipif("LORASCOPE_BENCH" not in os.environ, reason="minutes; set LORASCOPE_BENCH to run it")
def test_its_own_side_runs_on_a_tiny_model(tmp_path: Path) -> None:
    results = tmp_path / "train.json"
    cell = "cell alpaca float32 batch 8 dropout 0"
    places = [
        "--work",
        str(tmp_path / "work"),
        "--results",
        str(results),
        "--out",
        str(tmp_path / "train.md"),
    ]
    run("--smoke", "--no-peers", "--minutes", "1", *places, "--only", "parity", cell, "ladder", "profile")
    records = json.loads(results.read_text(encoding="utf-8"))["records"]
    assert records["parity"]["passed"]
    losses = {rung: steps[0]["loss"] for rung, steps in records["ladder"].items()}
    assert max(losses.values()) - min(losses.values()) < 1e-5  # sums in other orders, in float32
    assert records[cell]["lorascope"][0]["examples"] == 8
    # What is there is not measured again.
    before = results.read_bytes()
    run("--smoke", "--no-peers", *places, "--only", "parity", cell)
    assert results.read_bytes() == before
