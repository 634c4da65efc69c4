"""Every trial by its key, and what a process of the pool does with one."""

import os
from pathlib import Path
from typing import Any

from faults import FAULTS, SEEDS, healthy_variants
from other_log import log_of
from trial import run_trial


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
    return run_trial(
        work / f"trial-{os.getpid()}", fault, severity, settings, seed, log_of(work / "logs", key)
    )
