"""What evaluations during training score, and how often."""

import numpy as np
import pytest

from lorascope.run.dataset import Example
from lorascope.train.eval_plan import EvalSets, draw_eval_sets, plan_evaluations


def example(number: int, *, length: int = 10) -> Example:
    ids = np.full(length, 1 + number % 200)
    labels = ids.copy()
    labels[:2] = -100
    return Example(example_id=str(number), input_ids=ids, labels=labels)


def sets_of(size: int, *, first: int = 200) -> EvalSets:
    rows = tuple(example(number) for number in range(size))
    return EvalSets(probe=rows, validation=rows, first=first)


def planned(
    num_steps: int, sets: EvalSets, train_tokens: int, *, may_shrink: bool = False
) -> tuple[int, int]:
    return plan_evaluations(sets, may_shrink=may_shrink, num_steps=num_steps, train_tokens=train_tokens)


def evaluations(num_steps: int, eval_steps: int) -> int:
    """Evaluations after a step: at each multiple, and at the end."""
    return -(-num_steps // eval_steps)


@pytest.mark.parametrize("num_steps", [100, 101, 400, 999, 1000, 12345])
def test_auto_is_about_20_evaluations_where_they_are_cheap(num_steps: int) -> None:
    # One example a set against a million trained tokens: 20 evaluations are far below 10 %.
    found, _ = planned(num_steps, sets_of(1), 1_000_000)
    assert 17 <= evaluations(num_steps, found) <= 20


@pytest.mark.parametrize("num_steps", range(5, 60))
def test_auto_is_never_fewer_than_5_evaluations(num_steps: int) -> None:
    # Ten tokens trained on: no evaluation is affordable, and 5 are made all the same.
    found, _ = planned(num_steps, sets_of(50), 10, may_shrink=True)
    assert evaluations(num_steps, found) >= 5


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
def test_fewer_than_5_steps_are_evaluated_after_each(num_steps: int) -> None:
    assert planned(num_steps, sets_of(1), 10)[0] == 1


def test_auto_costs_no_more_than_a_tenth_of_the_training() -> None:
    # A tenth of 9,000 tokens is 900; at half the cost of a step's that pays for scoring 1,800. Both sets of
    # 10 rows of 10 tokens are 200. The last evaluation takes 200 off; 1,600 are 8: the base and 7 more. The
    # interval is that of 8 (1,000 / 8 = 125 steps), whose last is the one that was taken off.
    assert planned(1000, sets_of(10), 9000) == (125, 200)


def test_the_last_evaluation_counts_with_all_it_scores() -> None:
    # 1,000 rows a set, 10 in an evaluation (200 tokens), 20,000 tokens at the end. 110,000 trained tokens pay
    # for 22,000: 2,000 are left after the end, 10 evaluations.
    assert planned(1000, sets_of(1000, first=10), 110_000) == (100, 10)


def test_examples_shrink_once_there_are_no_more_than_five_evaluations() -> None:
    # 500 rows a set: 10,000 tokens at the end. 100,000 trained tokens pay for 20,000: 10,000 are left, 2,000
    # for each of five, which is 100 rows of both sets (10 tokens each) and not the 200 that nobody asked for.
    assert planned(1000, sets_of(500), 100_000, may_shrink=True) == (200, 100)
    assert planned(1000, sets_of(500), 100_000) == (200, 200)  # asked for


def test_examples_never_shrink_below_64() -> None:
    assert planned(1000, sets_of(500), 1000, may_shrink=True) == (200, 64)


def test_examples_do_not_shrink_where_evaluations_are_cheap() -> None:
    assert planned(1000, sets_of(500), 10_000_000, may_shrink=True) == (50, 200)


def test_the_train_probe_is_as_large_as_validation_and_drawn_from_training() -> None:
    train, validation = [example(n) for n in range(50)], [example(n) for n in range(100, 112)]
    sets = draw_eval_sets(train, validation, eval_examples="auto", seed=0)
    assert len(sets.probe) == len(sets.validation) == 12
    assert {one.example_id for one in sets.probe} <= {one.example_id for one in train}
    assert len({one.example_id for one in sets.probe}) == 12
    assert {one.example_id for one in sets.validation} == {one.example_id for one in validation}
    again, other = (draw_eval_sets(train, validation, eval_examples="auto", seed=seed) for seed in (0, 1))
    ids = [one.example_id for one in sets.probe]
    assert ids == [one.example_id for one in again.probe]
    assert ids != [one.example_id for one in other.probe]


def test_without_validation_the_probe_has_the_examples_of_an_evaluation() -> None:
    train = [example(n) for n in range(500)]
    asked, auto = (draw_eval_sets(train, [], eval_examples=one, seed=0) for one in (20, "auto"))
    assert (len(asked.probe), asked.validation, len(auto.probe)) == (20, (), 200)
