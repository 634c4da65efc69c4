"""Losses that a log leaves empty where one was to be expected -> what to say of them. Shapes: E entries."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from lorascope.diagnose.logs.columns import Columns, Entry
from lorascope.diagnose.logs.names import PERPLEXITY
from lorascope.metrics.quantiles import median

_EMPTY = (None, "")

_OF_A_STEP = ("step", "epoch", "learning_rate", "grad_norm", "num_tokens")
_NEVER_LOST = ("step", "epoch", "learning_rate", "num_tokens")  # a norm is lost with its loss


def tell_empty_losses(
    table: Columns, columns: Mapping[str, str], counts: Mapping[str, int], has: Mapping[str, np.ndarray]
) -> None:
    """Say where a loss is empty that was to be expected: some writers put that in place of NaN.

    A row that is about something else leaves the loss empty too: an evaluation in the Trainer's history as a
    table, the memory in an export of W&B. So only an entry counts that is like those with a loss: what it
    holds stands beside losses elsewhere, and nothing is missing that stands beside each of them.

    Args:
        table: The entries; its problems are added to.
        columns: Quantity -> name in the file.
        counts: Name -> number of entries that have it, with a value or empty.
        has: "loss" and "eval_loss" -> whether an entry has one, [E].
    """
    named = {one: columns.get(one) or columns.get(PERPLEXITY[one]) for one in has}
    for quantity, present in has.items():
        name = named[quantity]
        if name is None or counts[name] == np.count_nonzero(present):
            continue
        where = np.flatnonzero(present)
        needed, foreign = _named_beside(table.entries, columns, counts, where)
        (other,) = has.keys() - {quantity}
        # Mostly all that is left out: the rows of evaluations, or all others.
        sought = ~present & ~has[other] if named[other] in foreign else ~present
        alike = [
            at
            for at in np.flatnonzero(sought).tolist()
            if table.entries[at].get(name, 0) in _EMPTY and _is_alike(table.entries[at], needed, foreign)
        ]
        empty = _unexpected(np.array(alike, dtype=int), where, has[other]) + 1
        if len(empty):
            table.problems.append(
                f'"{name}" is empty in {len(empty):,} of {len(table.entries):,} entries where one was to be '
                f"expected, the first of them entry {empty[0]:,} and the last entry {empty[-1]:,}: no loss "
                "is read there; pandas and others write NaN so"
            )


def _named_beside(
    entries: Sequence[Entry], columns: Mapping[str, str], counts: Mapping[str, int], where: np.ndarray
) -> tuple[set[str], set[str]]:
    """The names of a step that have a value beside each loss, and the names that have none beside any.

    Where there is no loss at all, the latter are all that no step has.
    """
    if not len(where):
        return set(), counts.keys() - {columns[one] for one in _OF_A_STEP if one in columns}
    with_loss = [entries[at] for at in where.tolist()]
    likely = set(chain.from_iterable(with_loss))
    beside = {name for name in likely if any(entry.get(name) not in _EMPTY for entry in with_loss)}
    of_a_step = {columns[one] for one in _NEVER_LOST if one in columns} & beside
    needed = {name for name in of_a_step if all(entry.get(name) not in _EMPTY for entry in with_loss)}
    return needed, counts.keys() - beside


def _is_alike(entry: Entry, needed: set[str], foreign: set[str]) -> bool:
    """Whether an entry holds what stands beside each loss, and nothing that stands beside none."""
    if any(entry.get(name) in _EMPTY for name in needed):
        return False
    return foreign.isdisjoint(entry) or all(entry[name] in _EMPTY for name in foreign & entry.keys())


def _unexpected(empty: np.ndarray, present: np.ndarray, is_point: np.ndarray) -> np.ndarray:
    """Of entries without a loss those that are not left out by design.

    By design a loss is logged at every 10th step, or evaluated at every 5th: gaps as long as most are, and
    twice as long, are no news. An entry with the other loss is one where this one mostly stands beside it; a
    training often begins or ends with an evaluation alone, or with a loss not evaluated yet.

    Args:
        empty: Index of each entry that is like those with a loss.
        present: Index of each entry with one.
        is_point: Whether an entry has the other loss, [E].
    """
    gap = np.searchsorted(present, empty)
    length = np.bincount(gap, minlength=len(present) + 1)
    usual = float(median(length[1:-1])) if len(present) > 1 else 0.0
    at_an_end = ((gap == 0) | (gap == len(present))) & (length[gap] == 1)
    is_usual = length[gap] <= 2 * usual
    by_design = np.where(is_point[empty], (usual > 0) | at_an_end, is_usual)
    return empty[~by_design]
