"""Which examples each optimizer step sees: a pure function of seed, epoch and step.

So a resumed run sees the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """The order of an epoch; kept while its steps ask for it."""
    return np.random.default_rng([seed, epoch]).permutation(num_examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """The order of examples over a whole training.

    Attributes:
        num_examples: Examples in the training split.
        batch_size: Examples in a step, over all processes; the last step of an epoch may be smaller.
        num_steps: Optimizer steps in all.
        seed: Of the order.
    """

    num_examples: int
    batch_size: int
    num_steps: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each example is seen once."""
        return math.ceil(self.num_examples / self.batch_size)

    def indices(self, step: int) -> list[int]:
        """Examples of a step.

        Args:
            step: 1 for the first.

        Returns:
            Indices into the training split. Within an epoch no index comes twice and none is left out.
        """
        epoch, position = divmod(step - 1, self.steps_per_epoch)
        order = _order(self.seed, epoch, self.num_examples)
        return [int(i) for i in order[position * self.batch_size : (position + 1) * self.batch_size]]

    def sums(self, values: Sequence[int]) -> np.ndarray:
        """Sum a number of each example over the examples of every step, [num_steps] int64."""
        numbers, starts = np.asarray(values, dtype=np.int64), range(0, self.num_examples, self.batch_size)
        epochs = math.ceil(self.num_steps / self.steps_per_epoch)
        orders = (_order(self.seed, epoch, self.num_examples) for epoch in range(epochs))
        return np.concatenate([np.add.reduceat(numbers[o], starts) for o in orders])[: self.num_steps]

    def epoch_after(self, step: int) -> float:
        """Passes over the data when a step is done."""
        whole, position = divmod(step, self.steps_per_epoch)
        return round(whole + min(position * self.batch_size, self.num_examples) / self.num_examples, 6)


def make_plan(*, num_examples: int, batch_size: int, epochs: float, seed: int) -> StepPlan:
    """Plan a training.

    Args:
        num_examples: Examples in the training split, >= 1.
        batch_size: Examples in a step.
        epochs: Passes over the data; a fraction is rounded to whole steps.
        seed: Of the order.
    """
    per_epoch = math.ceil(num_examples / batch_size)
    num_steps = max(1, round(epochs * per_epoch))
    return StepPlan(num_examples=num_examples, batch_size=batch_size, num_steps=num_steps, seed=seed)
