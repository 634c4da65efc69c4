from typing import Any

import pytest

from lorascope.diagnose.finding import Finding, NotRun, Severity
from lorascope.diagnose.health import PARTS, health


def finding(rule: str, severity: Severity = "info", **evidence: Any) -> Finding:
    return Finding(
        rule=rule, severity=severity, title=rule, evidence=evidence, how_sure="", action="", would_change=""
    )


CLOSED = [NotRun(rule=rule, reason="closed") for rules in PARTS.values() for rule in rules]


def test_nothing_measured_is_unknown_not_healthy() -> None:
    told = health([], CLOSED)
    assert told["score"] is None and told["unknown"] == list(PARTS)
    assert told["told"].startswith("unknown; not measured: data")


def test_the_score_is_the_least_part_and_never_an_average() -> None:
    # Four parts without a finding are 100; overfitting 8 % above the best costs 4 points a percent.
    told = health([finding("healthy_decline"), finding("overfitting", "warn", share=0.08)], [])
    assert told["score"] == 68 and told["limited_by"] == {"part": "generalisation", "rule": "overfitting"}
    assert told["parts"]["data"] == 100
    assert told["told"] == "68 of 100, held back by generalisation (overfitting)"


@pytest.mark.parametrize("rule", ["rescored", "small_validation", "overlap"])
def test_any_critical_finding_caps_the_whole(rule: str) -> None:
    assert health([finding(rule, "critical")], [])["score"] <= 25


def test_a_part_without_a_rule_that_ran_is_unknown_and_not_guessed() -> None:
    not_run = [one for one in CLOSED if one.rule in PARTS["generation"]]
    told = health([finding("healthy_decline"), finding("carry_over", carry_over=0.74)], not_run)
    assert told["unknown"] == ["generation"] and told["score"] == 74
    assert told["parts"]["generation"] is None


def test_without_a_verdict_fit_and_generalisation_are_unknown() -> None:
    few = dropped(0.002)
    assert health([few], [])["score"] == 100  # 1 row of 500 holds nothing back
    scored = health([few], [], judged=False)
    assert scored["score"] is None and {"fit", "generalisation"} <= set(scored["unknown"])
    assert health([dropped(0.02)], [])["score"] == 90


def dropped(share: float) -> Finding:
    return Finding(
        rule="dropped_rows",
        severity="info",
        title="t",
        evidence={"share": share, "sentence": "s"},
        how_sure="h",
        action="a",
        would_change="w",
    )
