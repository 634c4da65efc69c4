"""A logged training that was set back, and the rises that are none."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.curves.setback import logged_setback
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rules import diagnose

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

FALLING_RATE = 2e-4 * (1 - np.arange(200) / 200)
NUM, LOST_AT = 200, 100


def smooth(num: int = NUM) -> np.ndarray:
    """Falls from 3 to 1, by 1 / e in a fifth of the steps."""
    return 1 + 2 * np.exp(-5 * np.arange(num) / num)


def lost(share: float = 1.0, num: int = NUM) -> np.ndarray:
    """The same, that gives back a share of its gain half way and falls again twice as fast."""
    losses = smooth(num)
    back = share * (3 - losses[num // 2])
    losses[num // 2 :] += back * np.exp(-10 * np.arange(num - num // 2) / num)
    return losses


def evals_of(losses: np.ndarray, every: int = 20, height: float = 1.1) -> dict[int, float]:
    return {step: height * float(losses[step - 1]) for step in range(every, len(losses) + 1, every)}


def test_a_loss_that_jumps_back_to_its_opening_and_falls_again_is_a_setback() -> None:
    # At step 100 of 200 the smooth curve is 1.16; all of the gain of 1.84 is given back at step 101.
    evidence = made_log(lost(), noise=0.1)
    found = logged_setback(evidence)
    assert isinstance(found, Finding) and found.severity == "warn"
    assert abs(found.evidence["step"] - 101) <= 2
    assert found.evidence["loss_before"] == pytest.approx(1.2, rel=0.1)
    # A median of five points falls at e^(-10 * 2 / 200) = 0.90 of the jump, wider ones lower.
    assert 0.5 <= found.evidence["share_of_gain"] <= 1.0
    assert "no evaluation stands there to tell" in found.how_sure
    report = diagnose(evidence)
    assert report["verdict"] == "unstable" and report["verdict_reason"] == found.title
    assert report["health"]["parts"]["stability"] == 60


@pytest.mark.parametrize(("share", "noise", "least"), [(1.0, 0.1, 38), (1.0, 0.2, 34), (0.5, 0.1, 30)])
def test_setbacks_are_seen_by_their_size_and_noise(share: float, noise: float, least: int) -> None:
    found = [logged_setback(made_log(lost(share), noise=noise, seed=seed)) for seed in range(40)]
    assert sum(isinstance(one, Finding) for one in found) >= least


def test_an_evaluation_that_jumped_too_shows_what_noisy_steps_alone_do_not() -> None:
    # Noise of 40 % a point: 5 standard errors of medians of 10 points are a rise by e^1.1.
    alone = [isinstance(logged_setback(made_log(lost(), noise=0.4, seed=one)), Finding) for one in range(20)]
    both = [logged_setback(made_log(lost(), evals_of(lost()), noise=0.4, seed=one)) for one in range(20)]
    seen = [one for one in both if isinstance(one, Finding)]
    assert sum(alone) <= 6 and len(seen) >= 16
    assert all("evaluation jumped at the same place" in one.how_sure for one in seen)
    assert seen[0].evidence["evaluation_after"] > 1.25 * seen[0].evidence["evaluation_before"]


def test_an_evaluation_that_goes_on_falling_says_that_other_examples_began() -> None:
    assert isinstance(logged_setback(made_log(lost(), noise=0.1)), Finding)
    assert logged_setback(made_log(lost(), evals_of(smooth(), every=2), noise=0.1)) is None


def test_an_evaluation_just_before_the_jump_denies_nothing() -> None:
    # With a noise of 20 % the clearest place may be a few points early, and step 98 seem to lie behind it.
    evals = {49: 2.0, 98: 1.3, 147: 1.25, 196: 1.2}
    seen = [
        isinstance(logged_setback(made_log(lost(), evals, noise=0.2, seed=one)), Finding) for one in range(40)
    ]
    alone = [isinstance(logged_setback(made_log(lost(), noise=0.2, seed=one)), Finding) for one in range(40)]
    assert seen == alone


def test_a_loss_that_stays_up_is_no_setback_but_diverges() -> None:
    losses = smooth()
    losses[LOST_AT:] = 3.0
    evidence = made_log(losses, noise=0.1)
    assert logged_setback(evidence) is None
    assert diagnose(evidence)["verdict"] == "diverging"


def test_a_few_high_points_are_spikes() -> None:
    losses = smooth()
    losses[LOST_AT : LOST_AT + 2] = 3.0
    assert logged_setback(made_log(losses, noise=0.05)) is None


def test_examples_in_blocks_rise_again_and_again() -> None:
    # Four blocks, each learnt from 1.6 times what the one before it came down to.
    block = np.tile(1.6 * np.exp(-0.02 * np.arange(50)), 4) * np.repeat([2.0, 1.6, 1.4, 1.2], 50)
    assert logged_setback(made_log(block, noise=0.05)) is None


def test_stairs_that_rise_a_little_inside_each_epoch_are_none() -> None:
    stairs = np.repeat([2.0, 1.5, 1.0, 0.7], 50) * np.tile(1 + 0.1 * np.arange(50) / 50, 4)
    assert logged_setback(made_log(stairs, noise=0.1, epochs=4)) is None


def test_a_warm_restart_of_the_learning_rate_is_none() -> None:
    # Two cosines; the loss holds 0.5 for the rate, so that it rises by 40 % where the second begins.
    rate = np.tile(0.5 + 0.5 * np.cos(np.pi * np.arange(100) / 100), 2)
    losses = smooth() + 0.5 * rate
    assert isinstance(logged_setback(made_log(losses, noise=0.03)), Finding)  # its rate is logged as constant
    assert logged_setback(made_log(losses, noise=0.03, rate=2e-4 * rate)) is None


def test_all_that_was_gained_is_not_lost_by_a_warm_restart() -> None:
    rate = np.tile(0.5 + 0.5 * np.cos(np.pi * np.arange(100) / 100), 2)
    found = logged_setback(made_log(lost(), noise=0.03, rate=2e-4 * rate))
    assert isinstance(found, Finding) and found.title.endswith("the learning rate was raised there")


def test_a_log_of_many_points_is_read_by_its_medians() -> None:
    found = logged_setback(made_log(lost(num=20_000), noise=0.3))
    assert isinstance(found, Finding) and found.evidence["step"] == pytest.approx(10_000, abs=100)


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.3])
def test_healthy_falls_are_no_setbacks(noise: float) -> None:
    # None of 12,000 simulations of many shapes and lengths, with a noise of 5 to 40 %.
    generator = np.random.default_rng(int(100 * noise))
    for seed in range(60):
        num, depth, pace = (
            generator.choice([30, 100, 400]),
            generator.uniform(0.2, 0.85),
            generator.uniform(2, 30),
        )
        losses = 2 * (1 - depth * (1 - np.exp(-pace * np.arange(num) / num)))
        assert logged_setback(made_log(losses, evals_of(losses, num // 10), noise=noise, seed=seed)) is None


def test_few_points_show_no_setback() -> None:
    assert isinstance(logged_setback(made_log(lost(num=20))), NotRun)


def test_the_step_to_ship_stands_on_the_same_side_of_a_setback_as_the_best() -> None:
    # Evaluations every 20 steps fall to 1.3 by step 100, leap at 120 and end below: the last is the best.
    losses = lost()
    losses[160:] *= np.linspace(1.0, 0.8, 40)
    report = diagnose(made_log(losses, evals_of(losses), noise=0.05))
    assert any(one["rule"] == "setback" for one in report["findings"])
    assert min(report["step_to_ship"]["tied_steps"]) > LOST_AT


def lost_twice(share: float = 1.0, at: tuple[int, int] = (60, 124)) -> np.ndarray:
    """Falls from 3 to 1 within 25 of 200 steps, gives back a share of its gain twice and falls again."""
    losses = 1 + 2 * np.exp(-8 * np.arange(NUM) / NUM)
    for lost_at in at:
        back = share * (3 - losses[lost_at])
        losses[lost_at:] += back * np.exp(-14 * np.arange(NUM - lost_at) / NUM)
    return losses


@pytest.mark.parametrize(("share", "noise", "least"), [(1.0, 0.05, 20), (1.0, 0.1, 19), (0.7, 0.1, 17)])
def test_two_setbacks_are_seen_where_the_learning_rate_falls_all_the_while(
    share: float, noise: float, least: int
) -> None:
    losses = lost_twice(share)
    found = [
        logged_setback(made_log(losses, noise=noise, seed=one, rate=FALLING_RATE, epochs=3.0))
        for one in range(20)
    ]
    seen = [one for one in found if isinstance(one, Finding)]
    assert len(seen) >= least
    assert all(len(one.evidence["other_steps"]) == 1 for one in seen)
    assert "It rose likewise at step" in seen[0].evidence["sentence"]


def test_two_setbacks_without_evaluations_are_unstable_and_no_stairs() -> None:
    report = diagnose(made_log(lost_twice(), noise=0.05, rate=FALLING_RATE, epochs=3.0))
    assert report["verdict"] == "unstable"


def test_two_rises_at_a_rate_that_does_not_fall_may_be_blocks() -> None:
    assert logged_setback(made_log(lost_twice(), noise=0.05)) is None


def test_rows_sorted_from_hard_to_easy_in_each_epoch_are_no_setbacks() -> None:
    # The loss doubles where each epoch begins; two boundaries of three epochs, three of four.
    for num_epochs in (3, 4):
        time = np.arange(NUM) / NUM
        losses = 3 * np.exp(-time) * (2 - (num_epochs * time) % 1)
        for seed in range(20):
            evidence = made_log(losses, noise=0.1, seed=seed, rate=FALLING_RATE, epochs=float(num_epochs))
            assert logged_setback(evidence) is None


def test_blocks_at_a_falling_rate_rise_too_often_to_be_setbacks() -> None:
    block = np.tile(1.6 * np.exp(-0.02 * np.arange(50)), 4) * np.repeat([2.0, 1.6, 1.4, 1.2], 50)
    assert logged_setback(made_log(block, noise=0.05, rate=FALLING_RATE)) is None


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_healthy_falls_at_a_falling_rate_are_no_setbacks(noise: float) -> None:
    generator = np.random.default_rng(int(100 * noise))
    for seed in range(60):
        num, depth, pace = 200, generator.uniform(0.2, 0.85), generator.uniform(2, 30)
        losses = 2 * (1 - depth * (1 - np.exp(-pace * np.arange(num) / num)))
        assert logged_setback(made_log(losses, noise=noise, seed=seed, rate=FALLING_RATE)) is None


def test_the_leap_of_a_setback_is_no_noise_of_the_smallest_rise_to_be_seen() -> None:
    # Ten evaluations leap at the setback from 1.3 to 2.8; the second differences across it hold all of that.
    losses = lost()
    evals = evals_of(losses)
    report = diagnose(made_log(losses, evals, noise=0.05))
    logs = np.log(list(evals.values()))
    assert any(one["rule"] == "setback" for one in report["findings"])
    # 4.3 * sqrt(5 / 6) noises, of a noise from the median of second differences: 1.4826 median / sqrt(6).
    noise = 1.4826 * float(np.median(np.abs(np.diff(logs, 2)))) / np.sqrt(6)
    expected = np.expm1(max(0.01, 4.3 * np.sqrt(5 / 6) * noise))
    assert report["visible_rise"]["share"] == pytest.approx(expected)
    with_leap = np.sqrt(np.mean(np.diff(logs, 2)[-5:] ** 2) / 6)  # the last two thirds of eight differences
    assert expected < 0.5 * np.expm1(4.3 * np.sqrt(5 / 6) * with_leap)
