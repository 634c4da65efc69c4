import pytest

from lorascope.train.schedule import learning_rate


def rates(schedule: str, *, num_steps: int, warmup: float = 0.0) -> list[float]:
    return [
        learning_rate(step, num_steps=num_steps, peak=8.0, warmup=warmup, schedule=schedule)
        for step in range(1, num_steps + 1)
    ]


def test_linear_falls_by_equal_parts_and_would_reach_0_just_after_the_last_step() -> None:
    # k of 4 steps are done: 8 (1 - k / 4).
    assert rates("linear", num_steps=4) == [8.0, 6.0, 4.0, 2.0]


def test_cosine_is_half_way_down_at_half_time() -> None:
    # 8 (1 + cos(pi k / 4)) / 2 with cos = 1, 1/sqrt 2, 0, -1/sqrt 2.
    root = 2**0.5
    assert rates("cosine", num_steps=4) == pytest.approx([8.0, 4 + 4 / root, 4.0, 4 - 4 / root])


def test_constant_stays() -> None:
    assert rates("constant", num_steps=3) == [8.0, 8.0, 8.0]


def test_warmup_rises_to_the_peak_and_its_first_step_is_not_lost() -> None:
    # ceil(0.25 * 8) = 2 steps up: 4, 8. Then k - 2 of 6 steps down: 8 (1 - 0/6), 8 (1 - 1/6), ...
    expected = [4.0, 8.0, *(8 * (1 - k / 6) for k in range(6))]
    assert rates("linear", num_steps=8, warmup=0.25) == pytest.approx(expected)


def test_the_least_warmup_is_one_step_at_the_peak() -> None:
    assert rates("constant", num_steps=5, warmup=0.01) == [8.0] * 5


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_without_warmup_it_is_the_schedule_of_transformers(schedule: str) -> None:
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=8.0)
    scheduler = get_scheduler(schedule, optimizer, num_warmup_steps=0, num_training_steps=7)
    theirs = []
    for _ in range(7):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(schedule, num_steps=7) == pytest.approx(theirs)
