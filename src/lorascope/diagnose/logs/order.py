"""The order of points: steps that go back, rows that were shuffled. Shapes: P points."""

import numpy as np

from lorascope.diagnose.counts import counted

_SHUFFLED = 0.10
_LEAST_FALLS = 3


def standing(step: np.ndarray) -> np.ndarray:
    """Which points were not done again: at each fall of the step those from there on are passed over, [P]."""
    stands = np.ones(len(step), dtype=bool)
    for at in np.flatnonzero(np.diff(step) < 0) + 1:
        stands[:at] &= step[:at] < step[at]
    return stands


def is_shuffled(step: np.ndarray) -> bool:
    """Whether points are in no order, though each has a step of its own: then sorting loses nothing.

    A training that was resumed, or a second one in the same file, goes back now and then and has steps twice.

    Args:
        step: Of each point, [P].
    """
    falls = int((np.diff(step) < 0).sum())
    often = falls >= max(_LEAST_FALLS, _SHUFFLED * len(step))
    return often and len(np.unique(step)) == len(step)


def restarts_of(step: np.ndarray, problems: list[str]) -> tuple[int, ...]:
    """Where the step goes back, with a note on what becomes of the points before.

    Args:
        step: Of each training point, [P].
        problems: What was noteworthy so far; added to.
    """
    falls = np.flatnonzero(np.diff(step) < 0) + 1
    if len(falls):
        first = int(falls[0])
        passed_over = int((~standing(step)).sum())
        problems.append(
            f"the step goes back {len(falls):,} time{'s' if len(falls) > 1 else ''}, first from "
            f"{step[first - 1]:,.0f} to {step[first]:,.0f}: training was resumed, or the file holds several "
            f"runs; what came later counts, and {passed_over:,} of {len(step):,} training points, logged "
            "before, are passed over; to judge those, put them into a file of their own"
        )
    same = int((np.diff(step) == 0).sum())
    if same:
        have = counted(same, "training point has", "training points have")
        problems.append(f"{have} the step of the point before; all are kept")
    return tuple(int(one) for one in falls)
