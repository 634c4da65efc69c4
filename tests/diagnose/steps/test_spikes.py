import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.logs.step_log import step_points
from lorascope.diagnose.steps.spikes import spikes, unstable
from lorascope.run.records import StepRecord

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def leaping(num: int, at: list[int], times: float = 4.0) -> np.ndarray:
    """A level of 2 with leaps at some steps."""
    losses = np.full(num, 2.0)
    losses[np.array(at) - 1] *= times
    return losses


def test_planted_leaps_are_found_at_their_steps_and_nowhere_else() -> None:
    at = [120, 233, 390]
    norms = leaping(400, at, 9.0) / 2
    found = spikes(made_log(leaping(400, at), noise=0.05, grad_norm=norms))
    assert isinstance(found, Finding) and found.evidence["steps"] == at
    assert found.severity == "warn" and found.evidence["num_with_gradient"] == 3
    # Leaps to 4 times the level, give or take noise of 5 % on both.
    assert found.evidence["largest_times"] == pytest.approx(4.0, rel=0.15)


def test_a_single_leap_without_the_gradient_is_worth_a_note_only() -> None:
    found = spikes(made_log(leaping(200, [150]), noise=0.05))
    assert isinstance(found, Finding) and found.severity == "info" and "step 150" in found.action


def test_healthy_noise_raises_no_alarm() -> None:
    # 40 runs of 500 steps with log-normal noise of 20 %: 17,400 judged steps, none may leap.
    curve = 2.0 * np.exp(-np.arange(500) / 400)
    assert [seed for seed in range(40) if spikes(made_log(curve, noise=0.2, seed=seed))] == []


@pytest.mark.parametrize("at", [70, 85, 104, 120, 125, 200])
def test_a_leap_in_the_falling_part_is_found(at: int) -> None:
    # The median of 64 points of a fall by exp(-6 t) over 300 is near the loss 32 points before its end, and
    # they lie up to 0.3 around it: 6 of those deviations hide a leap from 1.3 to 3.8.
    curve = 1 + np.exp(-6 * np.arange(1, 301) / 300)
    curve[at - 1] += 2.5
    found = spikes(made_log(curve, noise=0.04))
    assert isinstance(found, Finding) and found.evidence["steps"] == [at]


def test_leaps_of_a_short_log_are_found_from_its_thirtieth_point_on() -> None:
    # A quarter of 95 points behind the first 5: each is compared with the 24 before.
    curve = 1 + np.exp(-6 * np.arange(1, 101) / 100)
    curve[[40, 60, 80]] += 2.5
    found = spikes(made_log(curve, noise=0.04))
    assert isinstance(found, Finding) and found.evidence["steps"] == [41, 61, 81]


def test_short_logs_of_healthy_noise_raise_no_alarm() -> None:
    # 200 runs of 80 points with log-normal noise of 15 %: 1.8 times is 3.9 deviations, once in 20,000 draws,
    # of which 52 of each run are judged: 0.5 are expected, 4 have a chance below 0.2 %.
    curve = 1 + np.exp(-6 * np.arange(1, 81) / 80)
    assert len([seed for seed in range(200) if spikes(made_log(curve, noise=0.15, seed=seed))]) < 4


def test_leaps_at_equal_distances_are_told_as_a_rhythm_without_advice_on_the_rate() -> None:
    found = spikes(made_log(leaping(400, [100, 150, 200, 250, 300, 350]), noise=0.03))
    assert isinstance(found, Finding) and found.evidence["rhythm"] == "every 50 steps"
    assert found.severity == "info" and "would not help" in found.action


def test_a_training_that_collapses_has_no_rhythm_of_neighbouring_points() -> None:
    # The 32 points behind the collapse leap out of the 64 before, until half of those are high as well.
    found = spikes(made_log(np.concatenate([np.full(200, 1.2), np.full(60, 10.8)]), noise=0.03))
    assert isinstance(found, Finding) and found.evidence["num_spikes"] == 1
    assert found.evidence["rhythm"] is None and found.evidence["longest_points"] >= 30


def test_a_loss_that_jumps_and_stays_up_for_some_steps_leaps_once() -> None:
    losses = np.full(400, 2.0)
    losses[200:212] = 6.0  # steps 201 to 212
    found = spikes(made_log(losses, noise=0.05))
    assert isinstance(found, Finding) and found.evidence["steps"] == [201] and found.severity == "info"
    assert found.evidence["longest_points"] == 12
    assert "From step 201 on it stayed up for 12 points" in found.evidence["sentence"]


def test_leaps_between_which_the_loss_comes_back_are_counted_each() -> None:
    found = spikes(made_log(leaping(400, [200, 202, 205]), noise=0.05))
    assert isinstance(found, Finding) and found.evidence["steps"] == [200, 202, 205]
    assert found.severity == "warn" and "stayed up" not in found.evidence["sentence"]


def test_leaps_where_epochs_begin_are_told_so() -> None:
    # 6 epochs of 100 steps; steps 201, 301, 501, 601 are the first of theirs, at unequal distances.
    found = spikes(made_log(leaping(620, [201, 301, 501, 601]), noise=0.03, epochs=6.2))
    assert isinstance(found, Finding) and found.evidence["rhythm"] == "where epochs begin"


def test_sixty_four_points_are_needed_before_a_leap_can_be_seen() -> None:
    found = spikes(made_log(leaping(64, [60])))
    assert isinstance(found, NotRun) and "65 are needed" in found.reason


def test_a_curve_of_single_hard_batches_is_unstable() -> None:
    # Every third loss is 5 times the level of 1: the excess over 1.6 is 3.4 of the 7 of three steps.
    losses = np.where(np.arange(300) % 3 == 0, 5.0, 1.0)
    found = unstable(made_log(losses, noise=0.05))
    assert isinstance(found, Finding)
    assert found.evidence["excess_share"] == pytest.approx(3.4 / 7, abs=0.03)
    assert found.evidence["share_of_points"] == pytest.approx(1 / 3, abs=0.01)


def test_strong_but_even_noise_is_not_unstable() -> None:
    # Log-normal noise of 30 %: 6 % of the draws pass 1.6 times the median (z = 1.57), and barely.
    assert unstable(made_log(np.full(400, 1.0), noise=0.3)) is None


def own_steps(losses: np.ndarray, target_tokens: int) -> Evidence:
    """A run of ours whose steps have so many target tokens each."""
    records = [
        StepRecord(
            step=number,
            epoch=number / len(losses),
            loss=float(loss),
            target_tokens=target_tokens,
            num_examples=4,
            learning_rate=1e-3,
            grad_norm=1.0,
            seconds=0.1,
        )
        for number, loss in enumerate(losses, start=1)
    ]
    return Evidence(run="r", steps=step_points(records))


def test_leaps_of_steps_of_a_few_tokens_are_those_of_the_answers_not_of_the_training() -> None:
    # Every third loss is 5, the others 1. Two steps of 32 tokens are a point of 64: 3, 3 and 1 in turn, of
    # which none lies above 1.6 times the median of 3. Steps of 64 tokens are points themselves.
    losses = np.where(np.arange(300) % 3 == 0, 5.0, 1.0)
    assert unstable(own_steps(losses, 32)) is None
    found = unstable(own_steps(losses, 64))
    assert isinstance(found, Finding) and found.evidence["num_points"] == 300


def test_too_few_tokens_in_all_are_not_judged() -> None:
    found = unstable(own_steps(np.full(60, 2.0), 16))  # 60 steps of 16 tokens are 15 points of 64
    assert isinstance(found, NotRun) and found.reason == "15 points of 64 target tokens, 40 are needed"
