"""Simulated runs of known truth: false alarms, and the smallest rise that is seen.

    PYTHONPATH=tests/diagnose python benchmarks/diagnose/simulated.py [--runs 400]

Rows of log-normal length (median 74 tokens, sigma 0.7), losses of 1.3 +- 0.5 nats per token, row changes of
0.06 nats between evaluations: the runs of tests/diagnose/synthetic.py. Writes its tables into docs/diagnose.md.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from page import write_tables
from synthetic import falling, make_evidence

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding
from lorascope.diagnose.rows.overfitting import overfitting
from lorascope.diagnose.rules import diagnose

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "diagnose.md"
MARK = "simulated"
RISES, ROWS = (0.01, 0.02, 0.03, 0.05), (50, 200, 500)
FLAT, SINKING = [0.0] * 20, [-0.01 * index for index in range(20)]


def reports(make: Callable[[int], Evidence], num: int) -> list[dict[str, object]]:
    """What diagnose says of so many runs."""
    return [diagnose(make(seed)) for seed in range(num)]


def verdicts(of: Sequence[dict[str, object]]) -> str:
    """As in "328 healthy, 72 still improving"."""
    counts = Counter(str(one["verdict"]).replace("_", " ") for one in of)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())


def found(of: Sequence[dict[str, object]], rule: str) -> int:
    """Reports with a finding of a rule."""
    return sum(any(one["rule"] == rule for one in report["findings"]) for report in of)  # type: ignore[attr-defined]


def warned(of: Sequence[dict[str, object]]) -> int:
    """Reports with anything above information."""
    return sum(
        any(one["severity"] != "info" for one in report["findings"])  # type: ignore[attr-defined]
        for report in of
    )


def false_alarms(num: int) -> str:
    """What is said of runs in which nothing is wrong, or nothing happens."""
    flat = reports(lambda seed: make_evidence(FLAT, SINKING, seed=seed), num)
    drifting = reports(lambda seed: make_evidence(FLAT, SINKING, seed=seed, drift=True, spread=0.03), num)
    curve = falling(16, pace=4.0)
    healthy = reports(lambda seed: make_evidence(curve, curve, seed=seed, schedule="linear"), num)
    still = reports(lambda seed: make_evidence(FLAT, FLAT, seed=seed), num)
    lines = [
        (
            "validation flat over 20 evaluations while the probe falls",
            f"overfitting in {found(flat, 'overfitting')}",
        ),
        (
            "the same, rows that drift by 0.03 nats at each evaluation",
            f"overfitting in {found(drifting, 'overfitting')}",
        ),
        ("healthy fall over 16 evaluations", f"a warning in {warned(healthy)}: {verdicts(healthy)}"),
        ("nothing is learnt", verdicts(still)),
    ]
    rows = "\n".join(f"| {what} | {said} |" for what, said in lines)
    return f"| {num} runs each | said |\n| --- | --- |\n{rows}"


def share_seen(rise: float, rows: int, num: int) -> float:
    """How often a rise that stays for ten evaluations is called overfitting."""
    fall = [-0.3 * (1 - math.exp(-index / 2)) for index in range(10)]
    validation = fall + [fall[-1] + rise] * 10
    probe = [-0.05 * index for index in range(20)]
    runs = (make_evidence(validation, probe, rows=rows, seed=seed) for seed in range(num))
    return sum(isinstance(overfitting(run), Finding) for run in runs) / num


def power(num: int) -> str:
    """Rises of several heights, on sets of several sizes."""
    heads = " | ".join(f"{rows} rows" for rows in ROWS)
    lines = [
        f"| {rise:g} nats | " + " | ".join(f"{share_seen(rise, rows, num):.0%}" for rows in ROWS) + " |"
        for rise in RISES
    ]
    title = "true rise of validation after its best, held for ten evaluations"
    return f"| {title} | {heads} |\n|" + " --- |" * (1 + len(ROWS)) + "\n" + "\n".join(lines)


def main() -> None:
    """Simulate, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=400)
    num = parser.parse_args().runs
    today = datetime.now(UTC).date().isoformat()
    words = f"`make bench-diagnose-simulated`, {today}: {num} runs in each row or cell, of 200 rows where nothing else is said."
    text = "\n\n".join([words, false_alarms(num), power(num)])
    print(text)
    write_tables(PAGE, text, MARK)


if __name__ == "__main__":
    main()
