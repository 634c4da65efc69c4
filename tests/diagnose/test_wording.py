"""What a verdict, a finding that there is none, and a rule that may not speak say, case by case."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.low_rate import HARDLY
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.steps.gates import need_likelihood, need_points
from lorascope.diagnose.verdict import (
    VERDICTS,
    by_importance,
    give_verdict,
    no_likelihood_finding,
    what_is_missing,
)

sys.path.insert(0, str(Path(__file__).parent))
from made_logs import made_log
from synthetic import make_evidence

FALL = 2.0 * np.exp(-np.arange(100) / 40)
REWARDS = ("reward", "rewards/format", "rewards/length", "rewards/answer", "rewards/tests")


def found(rule: str, severity: Any = "warn", **evidence: Any) -> Finding:
    """A finding of which nothing but its rule, its severity and some numbers matters."""
    return Finding(
        rule=rule,
        severity=severity,
        title=f"what {rule} says",
        evidence={"sentence": "It is so.", **evidence},
        how_sure="certain",
        action="look",
        would_change="nothing",
    )


def on_rewards(losses: Any = FALL, num: int = 1) -> Evidence:
    return made_log(losses, more=dict.fromkeys(REWARDS[:num], 0.5))


def negative() -> Evidence:
    return made_log(-FALL)


def preferences() -> Evidence:
    evals = {step: 0.69 * 0.99**step for step in range(10, 101, 10)}
    return made_log(0.69 * 0.99 ** np.arange(100), evals, more={"rewards/margins": 0.1})


ENOUGH = make_evidence([-0.1 * index for index in range(6)], [-0.1 * index for index in range(6)])


# From the gravest down: each decides whatever stands behind it.
DECIDE = [
    (found("non_finite", "critical"), "non_finite"),
    (found("diverging", "critical"), "diverging"),
    (found("no_effect", "critical"), "not_learning"),
    (found("allowed_checks", "critical"), "not_enough_evidence"),
    (found("overlap", "critical"), "not_enough_evidence"),
    (found("overfitting"), "overfitting"),
    (found("not_learning"), "not_learning"),
    (found("low_rate", share=HARDLY / 2), "not_learning"),
    (found("prompt_use"), "not_learning"),
    (found("unstable"), "unstable"),
    (found("setback"), "unstable"),
    (found("plateau", "info", annealed=False), "plateau"),
    (found("still_improving", "info"), "still_improving"),
    (found("healthy_decline", "info"), "healthy"),
]


@pytest.mark.parametrize("place", range(len(DECIDE)), ids=[one.rule for one, _ in DECIDE])
def test_the_gravest_finding_decides_and_its_title_is_the_reason(place: int) -> None:
    decides, verdict = DECIDE[place]
    title = decides.title
    if decides.rule in ("allowed_checks", "overlap"):
        title = f"the losses cannot be judged: {title}"
    lesser = [one for one, _ in DECIDE[place:]]
    assert give_verdict(ENOUGH, lesser) == give_verdict(ENOUGH, lesser[::-1]) == (verdict, title)


def test_verdicts_are_listed_from_the_gravest_down_and_the_one_that_there_is_none_comes_last() -> None:
    verdicts = dict.fromkeys(verdict for _, verdict in DECIDE if verdict != "not_enough_evidence")
    assert (*verdicts, "not_enough_evidence") == VERDICTS


@pytest.mark.parametrize("rule", ["low_rate", "prompt_use", "setback"])
def test_what_such_a_rule_tells_as_information_decides_nothing(rule: str) -> None:
    falling = found("still_improving", "info")
    told = give_verdict(ENOUGH, [found(rule, "info", share=HARDLY), falling])
    assert told == ("still_improving", falling.title)


def test_zeros_that_are_no_more_than_a_warning_and_an_overlap_that_is_none_decide_nothing() -> None:
    falling = found("still_improving", "info")
    told = give_verdict(ENOUGH, [found("non_finite"), found("overlap"), found("allowed_checks"), falling])
    assert told == ("still_improving", falling.title)


def test_a_rate_that_is_too_low_and_yet_moves_the_loss_is_still_improving() -> None:
    slow = found("low_rate", share=HARDLY)
    assert give_verdict(ENOUGH, [slow]) == ("still_improving", slow.title)


def test_a_loss_that_fell_and_came_to_rest_with_its_rate_is_healthy_and_both_are_said() -> None:
    fell = found("healthy_decline", "info")
    rest, stuck = (found("plateau", "info", annealed=annealed) for annealed in (True, False))
    assert give_verdict(ENOUGH, [fell, rest]) == ("healthy", f"{fell.title}; {rest.title}")
    assert give_verdict(ENOUGH, [fell, stuck]) == ("plateau", stuck.title)
    assert give_verdict(ENOUGH, [rest]) == ("plateau", rest.title)  # it never fell


def test_where_nothing_is_shown_that_is_the_reason() -> None:
    nothing = "validation loss is shown neither to have fallen nor to have risen nor to be flat"
    log = made_log(FALL, {25: 1.5, 50: 1.4, 75: 1.3, 100: 1.2})
    assert what_is_missing(ENOUGH) == what_is_missing(log) == []
    assert give_verdict(ENOUGH, []) == give_verdict(log, []) == ("not_enough_evidence", nothing)


@pytest.mark.parametrize(("severity", "decides"), [("warn", True), ("info", False)])
def test_a_rise_of_unknown_kind_is_no_overfitting_and_a_small_one_leaves_the_word_to_what_is_shown(
    severity: str, decides: bool
) -> None:
    log = made_log(FALL, {25: 1.5, 50: 1.4, 75: 1.3, 100: 1.2})
    risen, fell = found("overfitting", severity, shown=False), found("healthy_decline", "info")
    expected = ("not_enough_evidence", risen.title) if decides else ("healthy", fell.title)
    assert give_verdict(log, [risen, fell]) == expected
    assert give_verdict(log, [risen]) == ("not_enough_evidence", risen.title)


def test_a_staircase_is_a_plateau_only_where_nothing_was_evaluated() -> None:
    stairs, fell = found("staircase", "info"), found("healthy_decline", "info")
    assert give_verdict(made_log(FALL), [stairs, fell]) == ("plateau", stairs.title)
    evaluated = made_log(FALL, {25: 1.5, 50: 1.4, 75: 1.3, 100: 1.2})
    assert give_verdict(evaluated, [stairs, fell]) == ("healthy", fell.title)


def test_what_is_missing_is_counted_in_the_reason() -> None:
    few = make_evidence([0.0, -0.1], [0.0, -0.1], rows=7)
    told = give_verdict(few, [])
    assert told == ("not_enough_evidence", "validation rows: 7 of 20; evaluations: 2 of 5")
    report = diagnose(few)
    (missing,) = [one for one in report["findings"] if one["rule"] == "not_enough_evidence"]
    counted = "7 of the 20 validation rows that are needed; 2 of the 5 evaluations that are needed"
    assert missing["title"] == f"too little to judge by: {counted}"
    assert missing["evidence"] == {"validation_rows": 7, "evaluations": 2, "sentence": f"So far {counted}."}
    assert missing["how_sure"].startswith("certain; with fewer rows a 95 % interval covers less than 93 %")
    assert missing["action"] == report["missing"][0]["how"]
    assert missing["would_change"] == "20 validation rows or more"


def test_of_a_log_it_is_points_and_evaluations_that_are_missing() -> None:
    short = made_log(FALL[:7], {3: 1.9, 7: 1.7})
    verdict, reason = give_verdict(short, [])
    assert verdict == "not_enough_evidence"
    assert reason == (
        "training points: 7 of 10; evaluations: 2 of 4; evaluation went from 1.9 to 1.7 over 2 of them"
    )
    assert (
        give_verdict(made_log(FALL[:7], {3: 1.9}), [])[1] == "training points: 7 of 10; evaluations: 1 of 4"
    )
    report = diagnose(short)
    (missing,) = [one for one in report["findings"] if one["rule"] == "not_enough_evidence"]
    assert missing["how_sure"] == "certain: counted"
    assert missing["action"] == "log more often: every step of a short training"
    assert report["missing"][1]["how"] == "hold out validation rows and evaluate at least 4 times"


def test_just_enough_is_enough() -> None:
    assert what_is_missing(make_evidence([0.0] * 5, [0.0] * 5, rows=20)) == []
    assert what_is_missing(made_log(FALL[:10], {4: 1.9, 6: 1.8, 8: 1.7, 10: 1.6})) == []


def test_losses_of_rewards_and_losses_below_0_have_a_reason_of_their_own() -> None:
    assert give_verdict(on_rewards(), []) == (
        "not_enough_evidence",
        "rewards are logged: the loss of such a training is no likelihood, and its height means nothing",
    )
    assert give_verdict(negative(), []) == (
        "not_enough_evidence",
        "the loss is negative: it is no likelihood, and its height means nothing",
    )
    for log in (on_rewards(), negative()):
        assert what_is_missing(log) == []  # more points of it would tell no more


def test_a_number_that_is_not_finite_is_graver_than_a_loss_that_is_no_likelihood() -> None:
    broken = FALL.copy()
    broken[50] = np.nan
    for log in (on_rewards(broken), made_log(-broken)):
        assert diagnose(log)["verdict"] == "non_finite"


@pytest.mark.parametrize(
    ("num", "shown"),
    [
        (1, '"reward"'),
        (3, '"reward", "rewards/format", "rewards/length"'),
        (5, '"reward", "rewards/format", "rewards/length" and 2 more'),
    ],
)
def test_a_training_on_rewards_is_sent_to_the_first_three_of_them(num: int, shown: str) -> None:
    told = no_likelihood_finding(on_rewards(num=num))
    assert told is not None and told.title == "the loss is no likelihood, so its height is not judged"
    assert told.evidence["sentence"] == (
        f"Rewards are logged: {shown}. The loss of such a training hovers around 0 while it learns."
    )
    assert told.action.startswith(f"look at the curve of {shown}: it must rise")
    assert (told.evidence["rewards"], told.evidence["num_points"]) == ([*REWARDS[:num]], 100)
    assert (told.rule, told.severity) == ("not_enough_evidence", "info")
    assert told.how_sure.endswith("whether the training is good, its loss does not say")
    assert told.would_change == "a log with the likelihood of the tokens"


def test_a_negative_loss_is_sent_to_the_likelihood_of_its_tokens() -> None:
    told = no_likelihood_finding(negative())
    assert told is not None and told.evidence["rewards"] == []
    assert told.evidence["sentence"] == (
        "Losses of tokens are never below 0, so this one holds other terms, or is a reward."
    )
    assert told.action.startswith("log the negative log-likelihood of the tokens beside it")
    assert "--column loss=NAME" in told.action and "curve of" not in told.action


def test_a_loss_of_preferences_is_judged_by_its_curve() -> None:
    log = preferences()
    assert log.log is not None and log.log.is_preference and not log.log.is_rl
    assert no_likelihood_finding(log) is None and need_likelihood("plateau", log) is None
    report = diagnose(log)
    # It falls by 1 % a step, without noise, to the end.
    assert report["verdict"] == "still_improving" and "still falling" in report["verdict_reason"]
    assert "no likelihood" not in str(report)


def test_a_run_of_ours_has_a_likelihood_always() -> None:
    assert no_likelihood_finding(ENOUGH) is None and need_likelihood("plateau", ENOUGH) is None


def test_a_rule_on_the_height_of_the_loss_says_why_it_may_not_speak() -> None:
    assert need_likelihood("plateau", on_rewards()) == NotRun(
        rule="plateau", reason="rewards are logged: the loss of such a training is no likelihood"
    )
    assert need_likelihood("plateau", negative()) == NotRun(
        rule="plateau", reason="the loss is negative, and no likelihood of tokens is"
    )
    for log in (on_rewards(), negative()):  # of points there are enough, and far too few
        assert need_points("plateau", log, 1) == need_points("plateau", log, 1000)


def test_a_rule_that_needs_more_points_counts_them_in_words_of_what_was_read() -> None:
    run = make_evidence([0.0, -0.1], [0.0, -0.1])  # an evaluation every 10 steps
    assert need_points("spikes", run, 10) is None
    assert need_points("spikes", run, 11) == NotRun(rule="spikes", reason="10 steps, 11 are needed")
    # The rate comes to its peak at the 4th of 10 points: 7 are left.
    warming = made_log(FALL[:10], rate=[1e-4, 2e-4, 3e-4, *[4e-4] * 7])
    assert need_points("spikes", warming, 8) == NotRun(
        rule="spikes", reason="7 logged losses since the end of warmup, 8 are needed"
    )
    assert need_points("spikes", made_log(FALL[:10]), 11) == NotRun(
        rule="spikes", reason="10 logged losses, 11 are needed"
    )


def test_findings_are_told_by_severity_then_verdict_then_data_and_few_dropped_rows_come_last() -> None:
    wanted = [
        found("overlap", "critical"),
        found("spikes", "warn"),
        found("still_improving", "info"),
        found("overlap", "info"),
        found("carry_over", "info"),
        found("dropped_rows", "info", share=0.001),
    ]
    assert by_importance(wanted[::-1], "still_improving") == wanted
