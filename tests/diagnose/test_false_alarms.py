"""How often the rules speak on runs where nothing is wrong, and how often where something is."""

import math
from collections import Counter
from collections.abc import Callable

import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding
from lorascope.diagnose.rows.overfitting import overfitting
from lorascope.diagnose.rules import diagnose

Synthetic = Callable[..., Evidence]


def alarms(reports: list[dict[str, object]]) -> Counter[str]:
    """Rules that found something to warn of."""
    return Counter(
        one["rule"]
        for report in reports
        for one in report["findings"]  # type: ignore[attr-defined]
        if one["severity"] != "info" or one["rule"] == "overfitting"
    )


@pytest.mark.parametrize("drift", [False, True])
def test_sixty_flat_runs_raise_no_alarm_of_overfitting_or_divergence(
    synthetic: Synthetic, drift: bool
) -> None:
    # Validation is flat while the probe falls slowly, so the gate on the probe stands open.
    # With alpha / K and two in a row simulation gives 2.5 % (3.7 % for rows that drift) at 20 evaluations: 60
    # runs expect 1.5 (2.2), and more than 6 have a chance below 1 %.
    spread = 0.06 if not drift else 0.03
    reports = [
        diagnose(
            synthetic(
                [0.0] * 20, [-0.01 * i for i in range(20)], rows=200, seed=seed, drift=drift, spread=spread
            )
        )
        for seed in range(60)
    ]
    found = alarms(reports)
    assert found["overfitting"] <= 6
    assert found["diverging"] == 0 and found["non_finite"] == 0 and found["no_effect"] == 0


def test_sixty_healthy_runs_raise_no_alarm_at_all(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]]
) -> None:
    # The curve falls by 1 / e every 4 evaluations; at its end it is nearly flat, and a minimum can be chance.
    curve = falling_curve(16, pace=4.0)
    reports = [
        diagnose(synthetic(curve, curve, rows=200, seed=seed, schedule="linear")) for seed in range(60)
    ]
    # 0 of 60 bounds the rate at 5 %: 0.95^60 = 0.046.
    assert sum(alarms(reports).values()) == 0
    assert {report["verdict"] for report in reports} <= {"healthy", "still_improving", "plateau"}


def test_overfitting_by_a_twentieth_of_the_loss_is_seen(synthetic: Synthetic) -> None:
    # 0.05 nats above the best, held for four evaluations, at 200 rows: ten standard errors of 0.0053.
    validation = [0.0, -0.2, -0.3, -0.28, -0.25, -0.25, -0.25, -0.25]
    probe = [0.0, -0.2, -0.35, -0.4, -0.5, -0.6, -0.65, -0.7]
    verdicts = [diagnose(synthetic(validation, probe, seed=seed))["verdict"] for seed in range(20)]
    assert verdicts == ["overfitting"] * 20


def test_a_small_rise_that_stays_is_seen(synthetic: Synthetic) -> None:
    # 0.02 nats held for ten evaluations at 200 rows. One evaluation against another has a standard error of
    # 0.0053, which sees it in a third of the runs; means of 6 and of 4 have 0.0053 / sqrt(2) * sqrt(1 / 6 +
    # 1 / 4) = 0.0024.
    fall = [-0.3 * (1 - math.exp(-index / 2)) for index in range(10)]
    validation = fall + [fall[-1] + 0.02] * 10
    probe = [-0.05 * index for index in range(20)]
    seen = [
        isinstance(overfitting(synthetic(validation, probe, rows=200, seed=seed)), Finding)
        for seed in range(50)
    ]
    assert sum(seen) >= 40  # 90 of 100 are found; fewer than 40 of 50 happen once in 100


def test_forty_rows_stay_silent_where_they_cannot_see(synthetic: Synthetic) -> None:
    # The same shape with a rise of 0.004 nats, a third of what 40 rows show (SE 0.012).
    validation = [0.0, -0.2, -0.3, -0.298, -0.297, -0.296, -0.296, -0.296]
    probe = [0.0, -0.2, -0.35, -0.4, -0.5, -0.6, -0.65, -0.7]
    reports = [diagnose(synthetic(validation, probe, rows=40, seed=seed)) for seed in range(20)]
    assert alarms(reports)["overfitting"] <= 1
    for report in reports:
        assert any(one["rule"] == "small_validation" for one in report["findings"])
