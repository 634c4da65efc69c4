"""Every trial by its key, and what a process of the pool does with one."""

from pathlib import Path
from typing import Any

from faults import FAULTS, SEEDS, healthy_variants
from other_log import evidence_of
from trial import judge, run_trial


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


def work_on(key: str, work: Path) -> dict[str, Any]:
    """Run one trial, in a process of the pool."""
    _, fault, severity, settings, seed = next(one for one in trials() if one[0] == key)
    return run_trial(key, fault, severity, settings, seed, work)


def judge_again(records: dict[str, dict[str, Any]], work: Path) -> int:
    """Let the rules as they are now judge the trainings that are kept; what check found stays.

    Returns:
        How many were judged.
    """
    judged = 0
    for key, record in records.items():
        run = evidence_of(work, key) / "run"
        if record["verdict"] != "refused" and run.is_dir():
            record.update(judge(run))
            judged += 1
    return judged
