"""Logs of a run -> what they should hold and do not: a line for each step, and at the end an evaluation.

A line that was damaged before a training was resumed is gone behind it, and a cut last one looks like one
that is being written: as damaged neither is told.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.run.folder import RunFolder


def lacking_steps(log: Path, steps: Sequence[float] | np.ndarray, last: int) -> list[str]:
    """What to say of the steps that a step log has no line of; nothing where it has all of them.

    Args:
        log: The step log.
        steps: Those that it has lines of, each once, rising.
        last: The step that it should reach.
    """
    missing = last - len(steps)
    if missing <= 0:
        return []
    before = next((one for one, after in pairwise((0, *steps)) if after != one + 1), len(steps))
    return [
        f"{log.parent.name}/{log.name} lacks {missing:,} of the lines of {last:,} steps, the first is that "
        f"of step {int(before) + 1:,}"
    ]


def lacking_lines(
    run: RunFolder,
    steps: Sequence[float] | np.ndarray,
    evals: Sequence[int],
    summary: Mapping[str, Any] | None,
) -> list[str]:
    """What the logs of a training should hold and do not, a sentence for each log.

    Args:
        run: The run.
        steps: As of `lacking_steps`.
        evals: The steps after which there is an evaluation.
        summary: train/summary.json, read before the logs, which are whole once it is there; None of a
            training that is not finished, whose logs may end anywhere.
    """
    if summary is None:
        return lacking_steps(run.steps, steps, int(steps[-1]) if len(steps) else 0)
    last = int(summary["steps"])
    told = lacking_steps(run.steps, steps, last)
    if last not in evals:
        told.append(
            f"{run.evals.parent.name}/{run.evals.name} lacks the last evaluation, that after step {last:,}"
        )
    return told
