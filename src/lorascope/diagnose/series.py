"""One set of examples over all evaluations, paired example by example. Shapes: E evaluations, N examples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.errors import RunError, explain
from lorascope.metrics.likelihood import mean_nll
from lorascope.metrics.uncertainty import Interval, paired_ratio_difference
from lorascope.run.records import SetScore

ALPHA = 0.05
"""Chance of a false alarm that one comparison may have before it is shared among several."""

POWER_FACTOR = 2.8
"""z(0.975) + z(0.8): a change of this many standard errors is seen four times in five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The losses of one set.

    Evaluations during training score the first examples of a set and the last one scores all of it, in the
    same order, so what they share is the first examples: everything here is about those.

    Attributes:
        steps: Of each evaluation.
        nll_EN: Summed nats of each shared example.
        num_tokens_N: Its target tokens.
    """

    steps: tuple[int, ...]
    nll_EN: np.ndarray
    num_tokens_N: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def num_rows(self) -> int:
        """Shared examples that have target tokens."""
        return int((self.num_tokens_N > 0).sum())

    def loss(self, index: int) -> float:
        """Nats per target token at an evaluation, over the shared examples."""
        return mean_nll(self.nll_EN[index], self.num_tokens_N)

    def best(self, before: int | None = None) -> int:
        """Index of the first evaluation with the lowest loss, of all or of those before an index."""
        return int(np.argmin(self.nll_EN[:before].sum(axis=1)))

    def change(self, start: int, end: int, level: float = 1 - ALPHA) -> Interval:
        """Loss at `end` minus loss at `start`, paired by example; see `paired_ratio_difference`."""
        return paired_ratio_difference(self.nll_EN[start], self.nll_EN[end], self.num_tokens_N, level)

    def rise_from_best(self, index: int, best: int) -> Interval:
        """Change from the best of the earlier evaluations to this one, at the level 1 - ALPHA / K.

        The best of K evaluations is a minimum, so what follows looks worse than it is; sharing ALPHA among
        the K comparisons (Bonferroni) takes that back.

        Args:
            index: The evaluation, >= 1; K is the number of those before it.
            best: Index of the best one before it.
        """
        return self.change(best, index, level=1 - ALPHA / index)

    def change_of_means(self, start: slice, end: slice, level: float = 1 - ALPHA) -> Interval:
        """Mean loss over some evaluations minus that over others, paired by example.

        What strays from one evaluation to the next averages out, so a small change that stays is seen.
        """
        before_N, after_N = self.nll_EN[start].mean(axis=0), self.nll_EN[end].mean(axis=0)
        return paired_ratio_difference(before_N, after_N, self.num_tokens_N, level)

    def window(self, width: int) -> tuple[int, int]:
        """First and last index of the newest `width` evaluations."""
        return max(0, len(self) - width), len(self) - 1


def make_series(scored: Sequence[tuple[int, SetScore]]) -> Series | None:
    """Line up what several evaluations said about the same examples.

    Args:
        scored: Step and score of each evaluation, in order.

    Returns:
        The series over the examples they share; None where nothing was scored example by example.

    Raises:
        RunError: Their examples are not the same.
    """
    shared = min((len(score.nll_sums) for _, score in scored), default=0)
    if shared == 0:
        return None
    tokens_EN = np.array([score.num_tokens[:shared] for _, score in scored], dtype=np.int64)
    if (tokens_EN != tokens_EN[0]).any():
        raise RunError(
            explain(
                "the evaluations did not score the same examples",
                where="train/evals.jsonl",
                why="losses of different examples cannot be paired, so no change between them can be judged",
                fix="restore the file from a copy, or train again with --overwrite",
            )
        )
    return Series(
        steps=tuple(step for step, _ in scored),
        nll_EN=np.array([score.nll_sums[:shared] for _, score in scored], dtype=np.float64),
        num_tokens_N=tokens_EN[0],
    )


def rows_needed(num_rows: int, stderr: float, wanted: float) -> int:
    """How many examples bring a standard error down to a wanted one, as it falls with their root."""
    return math.ceil(num_rows * (stderr / wanted) ** 2)
