"""The planted-fault gallery: how often rules see what is wrong, and how often they speak where nothing is.

    python benchmarks/diagnose [--minutes 60] [--only WORDS] [--smoke] [--page-only] [--judge-again] [--fresh]
                              [--peers BIN]

Every trial trains the bundled starter model for real. Trials are kept in docs/benchmarks/diagnose.json as
soon as each is there, so that an interrupted run goes on where it stopped; the tables go into
docs/diagnose.md. The run folders stay under runs/bench-diagnose, so that --judge-again shows what a change to a
rule does without training again.
"""

import argparse
import json
import os
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from listed import judge_again, trials, work_on
from page import tables, write_tables
from peers import peer_alarms, versions
from public_logs import read_public_logs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "benchmarks" / "diagnose.json"
PAGE = ROOT / "docs" / "diagnose.md"


def facts() -> dict[str, Any]:
    """What the figures depend on."""
    from lorascope.run.provenance import machine

    names = ("lorascope", "torch", "transformers", "peft")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **{name: version(name) for name in names},
    }


def main() -> None:
    """Run the gallery, or write its tables again."""
    asked = _arguments()
    stored: dict[str, Any] = {"facts": facts(), "spent_s": 0.0, "records": {}}
    if RESULTS.is_file() and not asked.fresh:
        stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    if asked.judge_again:
        print(f"{judge_again(stored['records'], asked.work)} trainings judged again", flush=True)
        _keep(stored)
    elif not asked.page_only:
        _run(asked, stored)
    if asked.smoke:
        return
    if asked.peers:
        stored["peers"] = peer_alarms(asked.peers, asked.work / "logs", stored["records"])
        stored["peer_versions"] = versions(asked.peers)
        _keep(stored)
    if asked.peers or "public" not in stored:
        stored["public"] = read_public_logs(asked.peers)
        _keep(stored)
    write_tables(PAGE, tables(stored))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/diagnose", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", help="trials whose key begins so")
    parser.add_argument(
        "--smoke", action="store_true", help="the first seed of the worst severities, nothing kept"
    )
    parser.add_argument("--page-only", action="store_true")
    parser.add_argument("--judge-again", action="store_true", help="train nothing; the rules of today")
    parser.add_argument("--fresh", action="store_true", help="forget earlier trials")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time, each on one core")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench-diagnose")
    parser.add_argument("--peers", type=Path, help="folder with the commands ftdoctor and trainproof")
    return parser.parse_args()


def _run(asked: argparse.Namespace, stored: dict[str, Any]) -> None:
    """Run the trials that are missing, until the minutes are over."""
    started, before = time.monotonic(), stored["spent_s"]
    left = deque(_missing(asked, stored["records"]))
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers, which are started afresh
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        running: dict[Future[dict[str, Any]], str] = {}
        while left or running:
            over = before + time.monotonic() - started > asked.minutes * 60
            while left and len(running) < asked.workers and not over:
                key = left.popleft()
                running[pool.submit(work_on, key, asked.work)] = key
            if not running:
                print(f"{asked.minutes:g} minutes are over; run it again to go on", flush=True)
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                key, found = running.pop(done), done.result()
                stored["records"][key] = found
                stored["spent_s"] = round(before + time.monotonic() - started, 1)
                told = f"{found['verdict']} {sorted(found['findings'])} {found['checks']}"
                print(f"{found['seconds']:6.1f} s  {key}: {told}", flush=True)
                if not asked.smoke:
                    _keep(stored)


def _missing(asked: argparse.Namespace, records: dict[str, Any]) -> list[str]:
    """Keys of the trials that are asked for and not there."""
    chosen = []
    for key, fault, severity, _settings, seed in trials():
        worst = fault is None or severity == fault.severities[-1]
        if key in records or (asked.only and not key.startswith(asked.only)):
            continue
        if asked.smoke and (seed or not worst or (fault is None and not key.startswith("healthy|0|"))):
            continue
        chosen.append(key)
    return chosen


def _keep(stored: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
