"""Training steps beside peers: the same examples in the same steps, from the same adapter.

    python benchmarks/train [--minutes 40] [--peers PYTHON] [--smoke] [--page-only]

GPT-2 small's shape under random weights, real Alpaca rows and GPT-2's tokenizer from LORASCOPE_DATA. Every
contender is a process of its own, in its own venv, and they take turns step by step. What is measured is kept
in a JSON file part by part, so that an interrupted run goes on where it stopped; the page and its chart in
docs/benchmarks are made from that file alone.
"""

import argparse
import sys
import time
from pathlib import Path

from contenders import HERE, Venvs
from page import write_page
from parts import Bench, Part, all_parts, planned
from prepared import prepare
from results import Results, facts_of

ROOT = HERE.parents[1]
DOCS = ROOT / "docs" / "benchmarks"
_PLANNED = 0.85
"""Share of the time that is planned: starting processes and finishing a step take the rest."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/train", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=40, help="for all parts together")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-bench" / "bin" / "python")
    parser.add_argument("--no-peers", action="store_true", help="lorascope alone")
    parser.add_argument(
        "--smoke", action="store_true", help="a tiny model on synthetic rows: does it all run?"
    )
    parser.add_argument("--only", nargs="+", help="parts whose key begins with these words")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    parser.add_argument("--work", type=Path, help="folder of the prepared work")
    parser.add_argument("--results", type=Path, default=DOCS / "train.json")
    parser.add_argument("--out", type=Path, default=DOCS / "train.md")
    parser.add_argument("--page-only", action="store_true", help="write the page from the results again")
    return parser.parse_args()


def run_parts(bench: Bench, parts: list[Part], minutes: float) -> None:
    """Measure what is not there yet; each part's time is its share of what is left."""
    results = bench.results
    print(planned(parts, results, minutes), flush=True)
    for place, part in enumerate(parts):
        if part.key in results:
            continue
        left = _PLANNED * minutes * 60 - results.spent_s
        weights = sum(one.weight for one in parts[place:] if one.key not in results)
        start = time.perf_counter()
        record = part.run(max(0.0, left) * part.weight / weights)
        results.add(part.key, record, time.perf_counter() - start)
        print(f"{results.spent_s / 60:5.1f} min  {part.key}", flush=True)
        if part.key == "parity" and not record["passed"]:
            raise SystemExit(f"nothing is timed, because the parity gate failed: {record}")


def main() -> None:
    """Run the benchmark, or write its page again."""
    asked = arguments()
    if asked.page_only:
        write_page(asked.results, asked.out)
        return
    peers = None if asked.no_peers else str(asked.peers)
    if peers and not asked.peers.is_file():
        raise SystemExit(f"{asked.peers} is missing: make bench-train makes it; --no-peers goes without")
    folder = asked.work or ROOT / "runs" / ("bench-train-smoke" if asked.smoke else "bench-train")
    prepare(folder, smoke=asked.smoke)
    facts = facts_of(sys.executable, peers, smoke=asked.smoke)
    precisions = ("bf16", "float32") if facts["bf16"] else ("float32",)
    results = Results(asked.results, facts, fresh=asked.fresh)
    bench = Bench(Venvs(sys.executable, peers), folder, results, precisions, asked.smoke)
    parts = [
        part
        for part in all_parts(bench)
        if not asked.only or any(f"{part.key} ".startswith(f"{start} ") for start in asked.only)
    ]
    run_parts(bench, parts, asked.minutes)
    if not asked.only:
        results.finish()
    write_page(asked.results, asked.out)


if __name__ == "__main__":
    main()
