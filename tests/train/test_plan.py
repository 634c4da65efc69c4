import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorascope.train.plan import make_plan


@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_every_example_comes_once_in_every_epoch(num: int, batch_size: int, epochs: int, seed: int) -> None:
    plan = make_plan(num_examples=num, batch_size=batch_size, epochs=epochs, seed=seed)
    assert plan.num_steps == epochs * plan.steps_per_epoch
    for epoch in range(epochs):
        first = epoch * plan.steps_per_epoch + 1
        steps = [plan.indices(step) for step in range(first, first + plan.steps_per_epoch)]
        assert sorted(index for step in steps for index in step) == list(range(num))
        assert all(len(step) == batch_size for step in steps[:-1])


def test_the_order_is_new_in_every_epoch_and_the_same_for_one_seed() -> None:
    plan, again, other = (
        make_plan(num_examples=50, batch_size=50, epochs=2, seed=seed) for seed in (3, 3, 4)
    )
    assert plan.indices(1) != plan.indices(2)
    assert plan.indices(1) == again.indices(1)
    assert plan.indices(1) != other.indices(1)


def test_a_step_is_planned_without_the_steps_before_it() -> None:
    plan = make_plan(num_examples=50, batch_size=7, epochs=2, seed=0)
    backwards = {step: plan.indices(step) for step in range(plan.num_steps, 0, -1)}
    assert backwards == {step: plan.indices(step) for step in range(1, plan.num_steps + 1)}


def test_fractions_of_an_epoch_are_rounded_to_whole_steps_and_at_least_one() -> None:
    assert make_plan(num_examples=100, batch_size=10, epochs=0.25, seed=0).num_steps == 2  # round(2.5) = 2
    assert make_plan(num_examples=100, batch_size=10, epochs=1.26, seed=0).num_steps == 13
    assert make_plan(num_examples=100, batch_size=10, epochs=0.001, seed=0).num_steps == 1


def test_epochs_count_examples_not_steps() -> None:
    plan = make_plan(num_examples=10, batch_size=4, epochs=2, seed=0)  # steps of 4, 4 and 2
    assert [plan.epoch_after(step) for step in range(7)] == pytest.approx([0, 0.4, 0.8, 1, 1.4, 1.8, 2])


def test_the_sums_of_all_steps_are_those_of_their_examples() -> None:
    plan = make_plan(
        num_examples=10, batch_size=4, epochs=2.5, seed=1
    )  # steps of 4, 4 and 2, two and a half times
    values = list(range(100, 110))
    expected = [sum(values[i] for i in plan.indices(step)) for step in range(1, plan.num_steps + 1)]
    assert plan.sums(values).tolist() == expected
