"""Rules that count or compare one thing, each on the smallest evidence that has it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.data import allowed_checks, dropped_rows, overlap
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, at_least
from lorascope.diagnose.rescored import rescored
from lorascope.diagnose.rows.not_learning import not_learning
from lorascope.diagnose.rows.plateau import plateau
from lorascope.diagnose.rows.resolution import hold_out_more, resolution
from lorascope.diagnose.rows.ship import step_to_ship
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.steps.no_effect import no_effect
from lorascope.diagnose.steps.non_finite import non_finite

from .synthetic import altered

Synthetic = Callable[..., Evidence]


def check_report(name: str, num_failed: int, num_rows: int = 100) -> dict[str, Any]:
    one = {
        "name": name,
        "passed": False,
        "question": "all is well",
        "num_failed": num_failed,
        "num_rows": num_rows,
    }
    return {"checks": [{**one, "fix": "mend it"}, {**one, "name": "labels", "passed": True, "num_failed": 0}]}


@pytest.mark.parametrize(("skipped", "severity"), [(1, "info"), (2, "warn")])
def test_steps_that_the_fp16_scaler_skipped_are_normal_below_one_percent(
    synthetic: Synthetic, skipped: int, severity: str
) -> None:
    # 120 steps: 1 is 0.8 %, 2 are 1.7 %.
    evidence = synthetic([0.0] * 13, [0.0] * 13)
    overflown = evidence.steps.step <= skipped
    found = non_finite(
        altered(
            evidence,
            grad_norm=np.where(overflown, np.nan, evidence.steps.grad_norm),
            grad_norm_not_finite=overflown,
        )
    )
    assert (
        isinstance(found, Finding) and found.severity == severity and found.evidence["num_skipped"] == skipped
    )


def test_finite_numbers_are_no_finding(synthetic: Synthetic) -> None:
    assert non_finite(synthetic([0.0] * 3, [0.0] * 3)) is None


def test_a_gradient_of_zero_in_a_fifth_of_the_steps_is_no_effect(synthetic: Synthetic) -> None:
    evidence = synthetic([0.0] * 3, [0.0] * 3)  # 20 steps

    def with_zeros(num: int) -> Evidence:
        return altered(evidence, grad_norm=np.where(evidence.steps.step <= num, 0.0, 1.0))

    assert no_effect(with_zeros(3)) is None
    found = no_effect(with_zeros(4))
    assert isinstance(found, Finding) and "exactly 0 in 4 of 20 steps" in found.evidence["sentence"]


def test_nothing_is_said_of_an_adapter_before_its_first_step() -> None:
    assert isinstance(no_effect(Evidence(run="r")), NotRun)


def test_batch_noise_alone_is_no_learning(synthetic: Synthetic) -> None:
    # Noise of 5 % over 80 steps: the medians of 8 differ by 3.1 % by chance, so a fall of 3 % proves nothing.
    # The probe is shown to fall in one flat run of forty; of 40 runs at least 35 must be seen as they are.
    seen = [
        isinstance(not_learning(synthetic([0.0] * 9, [0.0] * 9, seed=seed)), Finding) for seed in range(40)
    ]
    assert sum(seen) >= 35


def test_warmup_is_left_out(synthetic: Synthetic) -> None:
    evidence = synthetic([0.0] * 4, [0.0] * 4)  # 30 steps
    warming = 2e-4 * np.minimum(1.0, evidence.steps.step / 12)
    found = not_learning(altered(evidence, learning_rate=warming))
    assert isinstance(found, NotRun) and found.reason.startswith("19 steps since the end of warmup")


def test_a_plateau_needs_rows_that_can_show_it(synthetic: Synthetic) -> None:
    # The rule is withheld above a standard error of 0.5 % of 1.3 / 1.645 = 0.0040; 200 rows straying by 0.06
    # have 0.06 * sqrt(2 * 1.63 / 200) = 0.0077: (0.0077 / 0.0040)^2 = 3.8 times as many are needed, or so.
    flat = [-0.001, 0.0, 0.001, 0.0]
    outcomes = [plateau(synthetic(flat, flat, rows=200, seed=seed)) for seed in range(20)]
    refused = [one for one in outcomes if isinstance(one, NotRun)]
    assert refused and not any(isinstance(one, Finding) for one in outcomes)
    needed = [int(one.reason.split("about ")[1].split(" ")[0].replace(",", "")) for one in refused]
    assert 400 < float(np.median(needed)) < 1200


def test_what_validation_can_see_is_said_with_the_rows_that_would(synthetic: Synthetic) -> None:
    flat = [0.0] * 5
    evidence = synthetic(flat, flat, rows=100)
    found = resolution(evidence)
    assert isinstance(found, Finding) and evidence.validation is not None
    first, last = evidence.validation.nll_EN[1], evidence.validation.nll_EN[4]  # the newest four evaluations
    t_N = evidence.validation.num_tokens_N
    ratio = (last - first).sum() / t_N.sum()
    stderr = np.sqrt(100 / 99 * ((last - first - ratio * t_N) ** 2).sum()) / t_N.sum()
    loss = last.sum() / t_N.sum()
    assert found.evidence["smallest_visible"] == pytest.approx(2.8 * stderr)
    assert found.evidence["rows_needed"] == int(np.ceil(100 * (2.8 * stderr / (0.01 * loss)) ** 2))
    told = diagnose(evidence)["visible_rise"]  # of every run, whether or not it is too large
    assert told["nats"] == pytest.approx(2.8 * stderr) and told["share"] == pytest.approx(2.8 * stderr / loss)
    assert (
        f"{2.8 * stderr:.4f} nats per token" in told["sentence"] and "100 validation rows" in told["sentence"]
    )


def test_what_was_seen_was_not_too_small_to_be_seen(synthetic: Synthetic) -> None:
    # A fall of 0.5 nats in four evaluations, while the rows show 2.8 standard errors of about 0.03.
    falling = [0.0, -0.1, -0.3, -0.5, -0.6]
    assert resolution(synthetic(falling, falling, rows=100)) is None


def test_rows_that_do_not_exist_are_not_asked_for() -> None:
    few = Evidence(run="r", prepare={"kept": 300}, config={"base": {"id": "gpt2"}, "data": "d.json"})
    assert hold_out_more(few, 150).endswith("d.json --base gpt2 --out r-wider --set prepare.validation=150")
    assert hold_out_more(few, 151).startswith("collect more data")


def test_rows_that_are_held_out_already_only_have_to_be_scored() -> None:
    held_out = Evidence(run="r", validation_ids=tuple(str(number) for number in range(500)))
    told = "score more of them: lorascope train r --overwrite --set train.eval_examples=500"
    assert hold_out_more(held_out, 500) == told and "wider" in hold_out_more(held_out, 501)


@pytest.mark.parametrize(("num_failed", "severity"), [(5, "warn"), (6, "critical")])
def test_a_check_that_was_allowed_to_fail_is_critical_above_five_percent(
    num_failed: int, severity: str
) -> None:
    found = allowed_checks(Evidence(run="r", check=check_report("stop_token", num_failed)))
    assert isinstance(found, Finding) and found.severity == severity and "mend it" in found.action


def test_overlap_has_a_rule_of_its_own() -> None:
    evidence = Evidence(run="r", check=check_report("overlap", 3, num_rows=60))
    assert allowed_checks(evidence) is None
    found = overlap(evidence)
    assert isinstance(found, Finding) and found.severity == "warn" and found.title.startswith("3 of 60")


@pytest.mark.parametrize(
    ("same_prompt", "same_both", "severity"),
    [(0, 0, None), (4, 0, "info"), (4, 1, "warn"), (20, 20, "critical")],
)
def test_a_repeated_prompt_is_overlap_and_a_repeated_row_is_a_leak(
    same_prompt: int, same_both: int, severity: str | None
) -> None:
    counts = {"num_examples": 40, "same_prompt": same_prompt, "same_both": same_both, "pairs": []}
    found = overlap(Evidence(run="r", prepare={"overlap": {"validation": counts}}))
    assert (found.severity if isinstance(found, Finding) else None) == severity


def test_rows_left_out_are_counted_and_many_are_warned_of() -> None:
    def found(malformed: int) -> Any:
        prepare = {"rows_read": 100, "dropped": {"malformed": malformed, "over_length": 1}}
        return dropped_rows(Evidence(run="r", prepare=prepare))

    assert found(4).severity == "info" and found(5).severity == "warn"  # 5 % and 6 %
    assert "5 malformed, 1 over length" in found(5).evidence["sentence"]
    nothing = {"rows_read": 9, "dropped": {"malformed": 0}, "cut_after_last_answer": 0}
    assert dropped_rows(Evidence(run="r", prepare=nothing)) is None


@pytest.mark.parametrize(
    ("precision", "off", "warned"),
    [("float32", 5e-5, False), ("float32", 2e-4, True), ("bf16", 0.01, False), ("bf16", 0.03, True)],
)
def test_the_same_adapter_must_score_the_same_after_loading(
    synthetic: Synthetic, precision: str, off: float, warned: bool
) -> None:
    evidence = synthetic([0.0] * 3, [0.0] * 3, rows=50)
    last = evidence.evals[-1]
    assert last.validation is not None
    measured = {
        "num_examples": 50,
        "supervised_tokens": last.validation.target_tokens,
        "split": "validation",
        "adapter": "runs/x/train/adapter",
        "precision": precision,
        "eval_loss": last.validation.loss * (1 + off),
    }
    assert isinstance(rescored(dataclasses.replace(evidence, rescored=measured)), Finding) is warned


def test_other_rows_are_not_compared(synthetic: Synthetic) -> None:
    evidence = synthetic([0.0] * 3, [0.0] * 3, rows=50)
    measured = {"num_examples": 49, "supervised_tokens": 1, "split": "validation", "eval_loss": 9.0}
    assert isinstance(rescored(dataclasses.replace(evidence, rescored=measured)), NotRun)


def test_of_two_tied_adapters_the_earlier_is_shipped(synthetic: Synthetic) -> None:
    # Down to -0.5 after step 30, then flat: best and last differ by chance alone.
    curve = [0.0, -0.3, -0.45, -0.5, -0.5, -0.5, -0.5]
    ship = step_to_ship(synthetic(curve, curve, adapters={"last": 60, "best": 30}))
    assert (ship["adapter"], ship["step"]) == ("best", 30) and {30, 60} <= set(ship["tied_steps"])
    assert ship["cost"]["instead"] == "last" and ship["cost"]["low"] < 0 < ship["cost"]["high"]


def test_a_later_adapter_that_is_better_is_shipped(synthetic: Synthetic) -> None:
    curve = [-0.1 * index for index in range(7)]
    ship = step_to_ship(synthetic(curve, curve, adapters={"last": 60, "best": 60}))
    assert (ship["adapter"], ship["step"], ship["cost"]) == ("last", 60, None)


def test_no_step_is_named_that_was_not_saved(synthetic: Synthetic) -> None:
    # The best evaluation is after step 30, but only the last adapter is on disk.
    curve = [0.0, -0.3, -0.45, -0.6, -0.4, -0.35, -0.3]
    ship = step_to_ship(synthetic(curve, curve, adapters={"last": 60}))
    assert (ship["adapter"], ship["step"]) == ("last", 60) and "whose adapter was not kept" in ship["why"]


def test_an_adapter_not_shown_to_beat_the_base_is_not_shipped(synthetic: Synthetic) -> None:
    ship = step_to_ship(synthetic([0.0, 0.2, 0.3, 0.4, 0.5], [0.0, -0.2, -0.4, -0.5, -0.6]))
    assert ship["adapter"] is None and ship["step"] == 0 and "better than the base model" in ship["why"]


def test_severities_are_ordered() -> None:
    assert at_least("critical", "warn") and at_least("warn", "warn") and not at_least("info", "warn")
