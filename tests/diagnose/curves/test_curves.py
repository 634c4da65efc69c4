"""Verdicts on the curves of another trainer, with planted truth."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.beside import Side, beside
from lorascope.diagnose.curves.logged import successive_noise
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.logs.curve import Facts
from lorascope.diagnose.rules import diagnose

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

STEPS = 200
FALLING = 2.0 * np.exp(-np.arange(STEPS) / 80)
LINEAR = 2e-4 * (1 - np.arange(STEPS) / STEPS)


def every(values: Any) -> dict[int, float]:
    """Evaluation losses at equal distances, the last at the last step."""
    values = list(values)
    return {STEPS // len(values) * (index + 1): float(one) for index, one in enumerate(values)}


def judged(evidence: Evidence) -> tuple[str, dict[str, Any]]:
    report = diagnose(evidence)
    assert report["evidence"] == "curve_only"
    return report["verdict"], {one["rule"]: one for one in report["findings"]}


def test_a_rise_of_the_evaluation_loss_while_training_falls_is_overfitting() -> None:
    verdict, found = judged(made_log(FALLING, every([1.9, 1.6, 1.5, 1.6, 1.7, 1.8]), noise=0.02))
    assert verdict == "overfitting" and found["overfitting"]["evidence"]["best_step"] == 99
    assert found["overfitting"]["evidence"]["share"] == pytest.approx(0.2)
    assert "Some guides call this divergence" in found["overfitting"]["evidence"]["sentence"]
    assert "4.5 tokens" in found["overfitting"]["evidence"]["sentence"]  # exp(1.5) = 4.48


def test_a_rise_of_both_losses_is_not_overfitting() -> None:
    rising = np.concatenate([FALLING[:100], FALLING[100] * np.linspace(1.0, 1.4, 100)])
    verdict, found = judged(made_log(rising, every([1.9, 1.6, 1.5, 1.6, 1.7, 1.8]), noise=0.02))
    assert "overfitting" not in found and verdict != "overfitting"


def test_one_bad_evaluation_at_the_end_is_no_overfitting() -> None:
    verdict, _ = judged(made_log(FALLING, every([1.9, 1.7, 1.6, 1.55, 1.5, 1.56]), noise=0.02))
    assert verdict != "overfitting"


def test_a_rise_within_the_noise_of_the_curve_is_no_overfitting() -> None:
    generator = np.random.default_rng(3)
    alarms = 0
    for seed in range(200):
        flat = 1.5 * generator.lognormal(0.0, 0.03, 12)
        alarms += judged(made_log(FALLING, every(flat), noise=0.02, seed=seed))[0] == "overfitting"
    assert alarms <= 4  # two in a row beyond 2.5 standard errors of a difference


def test_a_curve_that_stopped_early_at_full_rate_is_a_plateau() -> None:
    verdict, found = judged(
        made_log(FALLING, every([1.9, 1.6, 1.5, 1.503, 1.501, 1.504, 1.502, 1.503]), noise=0.02)
    )
    assert verdict == "plateau" and found["plateau"]["evidence"]["annealed"] is False


def test_a_curve_that_creeps_to_a_new_best_as_the_rate_runs_out_is_healthy() -> None:
    evals = every([1.9, 1.6, 1.52, 1.51, 1.506, 1.503, 1.501, 1.5])
    assert judged(made_log(FALLING, evals, noise=0.02, rate=LINEAR))[0] == "healthy"


def test_a_curve_that_falls_at_full_rate_still_improves() -> None:
    evals = every(2.0 * np.exp(-np.arange(8) / 6))
    verdict, found = judged(made_log(FALLING, evals, noise=0.02))
    # From evaluation 6 (step 150) to 8 the curve falls by 1 - exp(-2 / 6) = 28 %.
    assert verdict == "still_improving"
    assert found["still_improving"]["evidence"]["gain"] == pytest.approx(1 - np.exp(-2 / 6), abs=0.01)


def test_a_slow_fall_far_from_the_planned_end_still_improves() -> None:
    evals = every(1.5 * 0.998 ** np.arange(8))
    facts = Facts(max_steps=4 * STEPS)
    assert (
        judged(made_log(1.4 * np.exp(-np.arange(STEPS) / 1000), evals, noise=0.01, facts=facts))[0]
        == "still_improving"
    )


def test_a_training_without_evaluations_can_be_seen_to_improve_but_not_to_be_healthy() -> None:
    assert judged(made_log(FALLING, noise=0.05))[0] == "still_improving"
    # Flat over the last half: nothing says whether it helps anyone.
    settled = np.concatenate([np.linspace(3.0, 2.0, 100), np.full(100, 2.0)])
    verdict, found = judged(made_log(settled, noise=0.02))
    assert (
        verdict == "not_enough_evidence"
        and "evaluations: 0 of 4" in diagnose(made_log(settled, noise=0.02))["verdict_reason"]
    )
    assert "hold out validation rows" in found["not_enough_evidence"]["action"]


def test_many_epochs_without_evaluations_are_memory_not_improvement() -> None:
    assert judged(made_log(FALLING, noise=0.05, epochs=20.0))[0] == "not_enough_evidence"


def test_flat_from_the_first_loss_on_is_not_learning() -> None:
    verdict, found = judged(made_log(np.full(STEPS, 2.0), noise=0.03, rate=1e-6))
    assert verdict == "not_learning" and "learning rate 0.0001" in found["not_learning"]["action"]


def test_a_learning_rate_of_zero_is_not_learning_whatever_the_noise() -> None:
    verdict, found = judged(made_log(np.full(STEPS, 2.0), noise=0.3, rate=0.0))
    assert verdict == "not_learning" and "learning rate was 0" in found["no_effect"]["evidence"]["sentence"]


def test_noise_that_hides_any_fall_is_not_called_not_learning() -> None:
    report = diagnose(made_log(np.full(30, 2.0), noise=0.3))
    assert report["verdict"] == "not_enough_evidence"
    assert any(
        one["rule"] == "not_learning" and "by chance" in one["reason"] for one in report["rules_not_run"]
    )


def test_a_staircase_without_evaluations_is_a_plateau() -> None:
    stairs = 2.0 * 0.8 ** (np.arange(STEPS) // 40)
    assert judged(made_log(stairs, noise=0.03, epochs=5.0))[0] == "plateau"


def test_rewards_make_no_likelihood() -> None:
    report = diagnose(made_log(np.full(STEPS, 1e-9), more={"reward": 0.5}))
    assert report["verdict"] == "not_enough_evidence" and "rewards are logged" in report["verdict_reason"]


def test_the_noise_of_a_curve_is_that_of_its_points_whatever_its_trend() -> None:
    # 4,000 points of a line with noise of 2 %: the robust estimate strays by some 2 % of itself.
    logs = np.linspace(0.0, -3.0, 4000) + np.random.default_rng(0).normal(0.0, 0.02, 4000)
    assert successive_noise(logs) == pytest.approx(0.02, rel=0.06)


def test_the_earliest_tied_checkpoint_on_disk_is_the_one_to_ship(tmp_path: Path) -> None:
    for step in (50, 125, 200):
        (tmp_path / f"checkpoint-{step}").mkdir()
    evals = every([1.9, 1.7, 1.6, 1.51, 1.5, 1.503, 1.501, 1.502])  # at 25, 50, ..., 200
    ship = diagnose(made_log(FALLING, evals, noise=0.02, path=tmp_path / "trainer_state.json"))[
        "step_to_ship"
    ]
    assert (ship["adapter"], ship["step"], ship["shown"]) == ("checkpoint-125", 125, True)
    bare = diagnose(made_log(FALLING, evals, noise=0.02))["step_to_ship"]
    # Beside no checkpoint the earliest tied one is named: 1.51 lies 0.7 % above 1.5, within its noise.
    assert bare["adapter"] is None and bare["step"] == bare["tied_steps"][0] == 100
    assert "is that of step 125; step 100 is the earliest not shown" in bare["why"]


def test_a_resumed_log_is_read_without_the_steps_that_were_done_again() -> None:
    from lorascope.diagnose.log_evidence import log_evidence
    from lorascope.diagnose.logs.points import logged_run

    steps = [*range(1, 61), *range(41, 101)]
    entries = [{"step": step, "loss": 2.0 if index < 60 else 1.0} for index, step in enumerate(steps)]
    found = log_evidence(logged_run(entries, path=Path("log.jsonl"), form="JSONL"), "log.jsonl").steps
    assert found.step.tolist() == list(range(1, 101))
    assert found.loss.tolist() == [2.0] * 40 + [1.0] * 60


NO_RATE = float("nan")


def test_a_steady_slow_fall_without_a_logged_rate_still_improves() -> None:
    # 7 % a quarter, the last as fast as the middle half: a rate that ran out would have slowed it.
    steady = 2 * np.exp(-0.07 * 4 * np.arange(STEPS) / STEPS)
    assert judged(made_log(steady, noise=0.02, rate=NO_RATE))[0] == "still_improving"


def test_a_fall_that_slows_down_without_a_logged_rate_may_be_the_end_of_its_schedule() -> None:
    # In proportion to the sum of a linear schedule: by 0.15 in the last half, by 0.04 in the last quarter.
    t = np.arange(STEPS) / STEPS
    slowing = 2 * np.exp(-0.6 * t * (2 - t))
    assert judged(made_log(slowing, noise=0.02, rate=NO_RATE))[0] == "not_enough_evidence"
    # Held, then dropped: the last fifth falls by 11 %, what comes before by 1 % a fifth.
    dropped = 2 * np.exp(-0.05 * t - 0.10 * np.clip(5 * t - 4, 0, 1))
    assert judged(made_log(dropped, noise=0.02, rate=NO_RATE))[0] == "not_enough_evidence"


def test_a_slow_fall_of_evaluation_without_a_logged_rate_still_improves() -> None:
    # 3.5 % over the last quarter, with a noise of 0.2 % an evaluation.
    steady = np.exp(-0.035 * 4 * np.arange(STEPS) / STEPS)
    noise = np.random.default_rng(0).lognormal(0.0, 0.002, 10)
    evals = every(2.1 * steady[19::20] * noise)
    assert judged(made_log(2 * steady, evals, noise=0.05, rate=NO_RATE))[0] == "still_improving"


def test_the_smallest_rise_that_a_curve_would_show_follows_from_its_noise() -> None:
    # Second differences of +-d about a level alternate between -4d and 4d: 4d / sqrt(6) is the noise. A
    # mean of two less one of three has sqrt(1 / 2 + 1 / 3) of it, and 4.3 of that are seen. d = 1 %.
    logs = np.where(np.arange(10) % 2 == 0, 0.01, -0.01)
    told = diagnose(made_log(FALLING, every(1.5 * np.exp(logs))))["visible_rise"]
    visible = 4.3 * np.sqrt(5 / 6) * 0.04 / np.sqrt(6)
    assert told["share"] == pytest.approx(np.expm1(visible))
    assert told["nats"] == pytest.approx(np.expm1(visible) * 1.5 * np.exp(-0.01))


def test_a_curve_without_noise_of_its_own_is_still_asked_for_one_percent() -> None:
    told = diagnose(made_log(FALLING, every(np.linspace(1.5, 1.0, 10))))["visible_rise"]
    assert told["share"] == pytest.approx(np.expm1(0.01), rel=0.05)
    assert diagnose(made_log(FALLING, every([1.5, 1.4])))["visible_rise"] is None


def test_a_loss_of_preferences_has_no_perplexity_and_is_not_measured_by_that_of_tokens() -> None:
    # The same curve twice: once as nats per token, once with the rewards that DPO logs.
    evals = every([0.69, 0.62, 0.55, 0.50, 0.46, 0.43])
    tokens, pairs = (made_log(FALLING, evals, more=more) for more in (None, {"rewards/margins": 0.1}))
    told = {name: str(diagnose(one)["findings"]) for name, one in (("tokens", tokens), ("pairs", pairs))}
    assert "like choosing among" in told["tokens"] and "lorascope eval" in told["tokens"]
    assert "like choosing among" not in told["pairs"] and "lorascope eval" not in told["pairs"]
    assert "rewards/accuracies" in told["pairs"]
    rows = beside(
        [Side(name=one, evidence=log, report=diagnose(log)) for one, log in (("a", tokens), ("b", pairs))]
    )
    assert rows["runs"][0]["perplexity"] is not None and rows["runs"][1]["perplexity"] is None


def test_accuracies_of_rewards_are_a_task_metric() -> None:
    # The loss turns after step 80 of 200 and the accuracy goes on improving.
    evals = every([0.69, 0.60, 0.50, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75])
    accuracies = {step: 0.5 + index / 25 for index, step in enumerate(evals)}
    log = made_log(
        FALLING, evals, metrics={"eval_rewards/accuracies": accuracies}, more={"rewards/margins": 0.1}
    )
    found = {one["rule"]: one for one in diagnose(log)["findings"]}
    assert found["metric_disagrees"]["evidence"]["metric"] == "rewards/accuracies"


def test_a_training_on_rewards_is_sent_to_its_reward_curve() -> None:
    report = diagnose(made_log(np.full(STEPS, 1e-5), more={"reward": 0.5, "rewards/format_reward": 1.0}))
    found = report["findings"][0]
    assert report["verdict"] == found["rule"] == "not_enough_evidence" and not report["missing"]
    assert 'look at the curve of "reward", "rewards/format_reward"' in found["action"]
    assert "choose by reward" in report["step_to_ship"]["why"]
    assert {one["reason"] for one in report["rules_not_run"] if one["rule"] == "diverging"} == {
        "rewards are logged: the loss of such a training is no likelihood"
    }


def test_negative_losses_are_not_counted_as_no_losses() -> None:
    report = diagnose(made_log(-FALLING, every([-1.0, -1.5, -1.8, -1.9])))
    assert report["missing"] == [] and "0 training" not in str(report)
    assert "0 evaluations" not in str(report) and "--column loss=NAME" in report["findings"][0]["action"]
    assert report["findings"][0]["title"] == "the loss is no likelihood, so its height is not judged"


def test_a_healthy_curve_whose_end_is_not_its_best_says_so() -> None:
    # 1.52 over 1.48 is 2.7 %, in a curve whose neighbours differ by as much.
    verdict, found = judged(
        made_log(FALLING, every([1.9, 1.7, 1.6, 1.52, 1.55, 1.48, 1.53, 1.52]), noise=0.02, rate=LINEAR)
    )
    assert verdict == "healthy" and found["healthy_decline"]["evidence"]["last_above_best"] > 0.02
    told = found["healthy_decline"]["evidence"]["sentence"]
    assert "The last one lies 2.7% above the best, that of step 150" in told


def test_a_diverging_training_is_not_told_to_look_at_its_data_too() -> None:
    rising = np.concatenate([2.0 * np.exp(-np.arange(100) / 50), np.linspace(0.3, 6.0, 100)])
    verdict, found = judged(made_log(rising, noise=0.05))
    assert verdict == "diverging" and "not_learning" not in found


@pytest.mark.parametrize(
    ("evals", "told"),
    [
        ([float("nan")] * 5, "5 evaluations are logged and none of them is finite"),
        ([1.9, *[float("nan")] * 4], "5 evaluations are logged and 1 of them is finite"),
        ([1.9, 1.8, float("nan")], "3 evaluations are logged and 2 of them are finite"),
        ([1.9, 1.8, 1.7], "3 evaluations are logged"),
        ([float("nan")], "1 evaluation is logged and its loss is not finite"),
    ],
)
def test_evaluations_that_are_no_number_are_counted_where_none_is_shipped(
    evals: list[float], told: str
) -> None:
    why = diagnose(made_log(FALLING, every(evals)))["step_to_ship"]["why"]
    assert why == f"{told}, so no checkpoint is shown to be better than another"


SHORT = [
    [2.5, 1.6, 1.3, 1.2, 1.4, 1.7],
    [2.4, 1.5, 1.3, 1.36, 1.45, 1.51],
    [8.0, 2.5, 1.4, 1.3, 1.45, 1.6],
    [2.0, 1.3, 1.36, 1.5, 1.6],
    [1.9, 1.4, 1.2, 1.3, 1.55],
    [1.5, 1.3, 1.28, 1.36, 1.45, 1.5],
]


@pytest.mark.parametrize("evals", SHORT)
def test_few_evaluations_that_fall_and_rise_without_one_out_of_order_are_overfitting(
    evals: list[float],
) -> None:
    # An evaluation per epoch: the turn itself must not count as noise.
    verdict, found = judged(made_log(FALLING, every(evals), noise=0.02))
    assert verdict == "overfitting" and found["overfitting"]["severity"] == "critical"
    assert found["overfitting"]["evidence"]["share"] == pytest.approx(evals[-1] / min(evals) - 1)
    assert "healthy_decline" not in found
    report = diagnose(made_log(FALLING, every(evals), noise=0.02))
    best = STEPS // len(evals) * (evals.index(min(evals)) + 1)
    assert report["step_to_ship"]["step"] == best and report["visible_rise"] is None


@pytest.mark.parametrize(
    "evals",
    [
        [2.5, 1.6, 1.3, 1.2, 1.25, 1.3],  # 8 %: less than what a shape alone shows
        [2.5, 1.6, 1.3, 1.2, 1.1, 1.3],  # one bad evaluation
        [2.5, 1.2, 1.5, 1.15, 1.3, 1.4],  # out of order before the best: as noisy as it rises
        [1.3, 1.25, 1.2, 1.3, 1.4],  # falls by less than it rises, over two evaluations
    ],
)
def test_a_shape_that_noise_may_have_is_no_overfitting(evals: list[float]) -> None:
    verdict, _ = judged(made_log(FALLING, every(evals), noise=0.02))
    assert verdict != "overfitting"


@pytest.mark.parametrize(("num", "most"), [(5, 12), (6, 10), (8, 6)])
def test_flat_evaluations_with_noise_seldom_have_the_shape_of_overfitting(num: int, most: int) -> None:
    # With a noise of 3 % 0.8, 0.5 and 0.1 in 100 have it, and noise lets 2 in 100 pass: 6, 5 and 4 of 200.
    generator = np.random.default_rng(2)
    told = [
        judged(made_log(FALLING, every(1.3 * np.exp(0.03 * generator.standard_normal(num))), noise=0.02))[0]
        for _ in range(200)
    ]
    assert told.count("overfitting") <= most


def test_a_plateau_at_a_constant_rate_is_advised_to_let_it_run_out() -> None:
    flat = [1.9, 1.6, 1.4, 1.301, 1.3, 1.3, 1.301, 1.3, 1.3, 1.3005]
    _, found = judged(made_log(FALLING, every(flat), noise=0.02, rate=2e-4))
    assert "cosine" in found["plateau"]["action"]
    _, found = judged(made_log(FALLING, every(flat), noise=0.02, rate=np.nan))
    assert "cosine" not in found["plateau"]["action"]


def test_evaluations_that_fall_by_little_and_by_more_than_their_noise_are_learning() -> None:
    # The training loss stands still to the eye; evaluation falls by 2 % with a noise of 0.05 %.
    evals = 1.102 * np.exp(-0.02 * np.linspace(0, 1, 20)) * (1 + 0.0005 * np.tile([1, -1], 10))
    _, found = judged(made_log(np.full(STEPS, 1.09), every(evals), noise=0.001))
    assert "not_learning" not in found
    _, found = judged(made_log(np.full(STEPS, 1.09), every(np.full(20, 1.1)), noise=0.001))
    assert "not_learning" in found


def test_a_rise_that_is_not_shown_costs_what_a_warning_costs() -> None:
    report = diagnose(made_log(FALLING, every([1.3, 1.7]), noise=0.02))
    assert report["verdict"] == "not_enough_evidence" and report["health"]["score"] == 60


def test_stairs_that_nobody_evaluated_are_sent_to_validation_rows() -> None:
    stairs = np.repeat([1.5, 1.1, 0.7, 0.4], 50)
    _, found = judged(made_log(stairs, epochs=4.0, noise=0.02))
    assert found["staircase"]["action"].startswith("hold out validation rows")
