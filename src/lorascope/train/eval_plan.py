"""What evaluations during training score, and how often, so that they take a tenth of it at most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lorascope.metrics.likelihood import mean_nll
from lorascope.run.dataset import Example
from lorascope.run.records import SetScore

_LEAST, _MOST, _SHARE = 5, 20, 0.10
# Simulated: 50 rows show a rise of 0.03 nats in 86 runs of 100, 200 rows one of 0.02 in 90.
_EXAMPLES, _FEWEST_EXAMPLES = 200, 64
# A forward pass costs about half a LoRA step: 2N of 4N FLOP per token, since frozen weights get no gradient.
_FORWARD_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSets:
    """What is evaluated, in a fixed order.

    Attributes:
        probe: Training examples, drawn at random, as many as validation has.
        validation: The whole validation split, in a random order; empty where there is none.
        first: How many of each an evaluation during training scores; the last one scores all.
        sources: The data source of each example by id; empty where the run has one.
    """

    probe: tuple[Example, ...]
    validation: tuple[Example, ...]
    first: int
    sources: Mapping[str, str] = field(default_factory=dict)


def draw_eval_sets(
    train: Sequence[Example], validation: Sequence[Example], *, eval_examples: str | int, seed: int
) -> EvalSets:
    """Draw the train probe and fix the order of both sets.

    Args:
        train: The training split.
        validation: The validation split, may be empty.
        eval_examples: Examples of each set to score during training; 200 for "auto".
        seed: Of the draw.
    """
    first = _EXAMPLES if eval_examples == "auto" else int(eval_examples)
    size = min(len(train), len(validation) or first)
    generator = np.random.default_rng([seed, 1])
    probe = tuple(train[i] for i in generator.permutation(len(train))[:size])
    order = generator.permutation(len(validation))
    return EvalSets(probe=probe, validation=tuple(validation[i] for i in order), first=first)


def example_ids(sets: EvalSets) -> dict[str, list[str]]:
    """Ids of both sets in the order of their losses, as in train/eval_sets.json."""
    return {
        "probe": [one.example_id for one in sets.probe],
        "validation": [one.example_id for one in sets.validation],
    }


def plan_evaluations(
    sets: EvalSets, *, may_shrink: bool, num_steps: int, train_tokens: int
) -> tuple[int, int]:
    """Say how many steps lie between two evaluations, and how many examples of each set one scores.

    About 20 evaluations. Where scoring the base model, all of them and everything at the end would pass 10 %
    of training time by tokens (a forward pass is at most half a LoRA step), there are fewer of them, down to
    5; then, if they may, they score fewer examples, down to 64.

    Args:
        sets: From `draw_eval_sets`.
        may_shrink: Whether nobody asked for a number of examples.
        num_steps: Steps in all.
        train_tokens: Tokens trained on in all steps.

    Returns:
        The steps between two evaluations, and the examples of each set.
    """
    everything = _tokens(sets, len(sets.probe) + len(sets.validation))
    budget, first = _SHARE * train_tokens / _FORWARD_SHARE - everything, sets.first
    if may_shrink:
        scored = min(first, max(len(sets.probe), len(sets.validation)))
        affordable = int(scored * budget / (_LEAST * max(_tokens(sets, scored), 1)))
        first = min(first, max(_FEWEST_EXAMPLES, affordable))
    wanted = max(_LEAST, min(_MOST, int(budget / max(_tokens(sets, first), 1))))
    return _steps_between(num_steps, wanted), first


def _tokens(sets: EvalSets, first: int) -> int:
    """Tokens that scoring the first examples of each set reads."""
    return sum(example.num_tokens for example in [*sets.probe[:first], *sets.validation[:first]])


def _steps_between(num_steps: int, evaluations: int) -> int:
    """The interval that gives about so many evaluations, and 5 where there are 5 steps."""
    between = math.ceil(num_steps / evaluations)
    while between > 1 and math.ceil(num_steps / between) < _LEAST:
        between -= 1  # rounding up alone would make 3 evaluations of 6 steps
    return between


def comparable_loss(score: SetScore, first: int) -> float:
    """Loss over the first examples of a set: what every evaluation of a run has in common."""
    return mean_nll(np.array(score.nll_sums[:first]), np.array(score.num_tokens[:first]))
