"""The planted-fault gallery: how often rules see what is wrong, and how often they speak where nothing is.

    python benchmarks/diagnose [--minutes 60] [--only WORDS] [--smoke] [--page-only] [--fresh]

Every trial trains the bundled starter model for real. Trials are kept in docs/benchmarks/diagnose.json as soon
as each is there, so that an interrupted run goes on where it stopped; the tables go into docs/diagnose.md.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from faults import FAULTS, SEEDS, healthy_variants
from page import tables, write_tables
from trial import run_trial

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "benchmarks" / "diagnose.json"
PAGE = ROOT / "docs" / "diagnose.md"


def trials() -> list[tuple[str, Any, float, dict[str, Any], int]]:
    """Key, fault, severity, settings and seed of every trial; a seed of everything first, then the next."""
    listed = []
    healthy = healthy_variants()
    for seed in SEEDS:
        listed += [
            (f"healthy|{number}|{seed}", None, 0.0, one, seed)
            for number, one in enumerate(healthy)
            if one["seed"] == seed
        ]
        listed += [
            (f"{fault.name}|{severity}|{seed}", fault, severity, {}, seed)
            for fault in FAULTS
            for severity in fault.severities
        ]
    return listed


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
    parser = argparse.ArgumentParser(prog="benchmarks/diagnose", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", help="trials whose key begins so")
    parser.add_argument(
        "--smoke", action="store_true", help="the first seed of the worst severities, nothing kept"
    )
    parser.add_argument("--page-only", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="forget earlier trials")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench-diagnose")
    asked = parser.parse_args()
    stored: dict[str, Any] = {"facts": facts(), "spent_s": 0.0, "records": {}}
    if RESULTS.is_file() and not asked.fresh:
        stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    started, before = time.monotonic(), stored["spent_s"]
    for key, fault, severity, settings, seed in [] if asked.page_only else trials():
        worst = fault is None or severity == fault.severities[-1]
        if key in stored["records"] or (asked.only and not key.startswith(asked.only)):
            continue
        if asked.smoke and (seed or not worst or (fault is None and not key.startswith("healthy|0|"))):
            continue
        if before + time.monotonic() - started > asked.minutes * 60:
            print(f"{asked.minutes:g} minutes are over; run it again to go on", flush=True)
            break
        log = asked.work / "logs" / key.replace("|", "-").replace(" ", "_") / "trainer_state.json"
        found = run_trial(asked.work / "trial", fault, severity, settings, seed, log)
        stored["records"][key] = found
        stored["spent_s"] = round(before + time.monotonic() - started, 1)
        told = f"{found['verdict']} {sorted(found['findings'])} {found['checks']}"
        print(f"{found['seconds']:6.1f} s  {key}: {told}", flush=True)
        if not asked.smoke:
            RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if asked.smoke:
        return
    write_tables(PAGE, tables(stored["records"], {**stored["facts"], "minutes": stored["spent_s"] / 60}))


if __name__ == "__main__":
    main()
