"""Every rule on what is known of a run -> a verdict, findings, and what could not be judged."""

from collections.abc import Callable
from typing import Any

from lorascope.diagnose.answers.collapse import collapse
from lorascope.diagnose.answers.drift import drift
from lorascope.diagnose.answers.forgetting import forgetting
from lorascope.diagnose.answers.repetition import repetition
from lorascope.diagnose.curves.decline import logged_decline
from lorascope.diagnose.curves.improving import logged_improving
from lorascope.diagnose.curves.logged import logged_curve
from lorascope.diagnose.curves.metric_disagrees import metric_disagrees
from lorascope.diagnose.curves.not_learning import logged_not_learning
from lorascope.diagnose.curves.overfitting import logged_overfitting
from lorascope.diagnose.curves.plateau import logged_plateau
from lorascope.diagnose.curves.resolution import logged_visible_rise
from lorascope.diagnose.curves.rising import logged_both_rise, logged_climb, logged_divergence
from lorascope.diagnose.curves.setback import logged_setback
from lorascope.diagnose.curves.ship import logged_step_to_ship
from lorascope.diagnose.data import allowed_checks, dropped_rows, overlap, prepared_again
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.health import health
from lorascope.diagnose.rescored import rescored
from lorascope.diagnose.rows.carry_over import carry_over
from lorascope.diagnose.rows.decline import decline
from lorascope.diagnose.rows.divergence import probe_divergence
from lorascope.diagnose.rows.gap import gap
from lorascope.diagnose.rows.hard_rows import hard_rows
from lorascope.diagnose.rows.improving import improving
from lorascope.diagnose.rows.leak_price import leak_price
from lorascope.diagnose.rows.length_bias import length_bias
from lorascope.diagnose.rows.low_rate import low_rate
from lorascope.diagnose.rows.memorisation import memorisation
from lorascope.diagnose.rows.not_learning import not_learning
from lorascope.diagnose.rows.overfitting import overfitting
from lorascope.diagnose.rows.plateau import plateau
from lorascope.diagnose.rows.prompt_use import prompt_use
from lorascope.diagnose.rows.resolution import resolution, visible_rise
from lorascope.diagnose.rows.setback import setback
from lorascope.diagnose.rows.ship import step_to_ship
from lorascope.diagnose.steps.dead_tail import dead_tail
from lorascope.diagnose.steps.divergence import divergence
from lorascope.diagnose.steps.no_effect import no_effect
from lorascope.diagnose.steps.non_finite import non_finite
from lorascope.diagnose.steps.spikes import spikes, unstable
from lorascope.diagnose.steps.staircase import staircase
from lorascope.diagnose.verdict import (
    by_importance,
    give_verdict,
    missing_finding,
    no_likelihood_finding,
    what_is_missing,
)

Rule = Callable[[Evidence], Outcome]

RULES: tuple[Rule, ...] = (
    non_finite,
    divergence,
    probe_divergence,
    no_effect,
    prepared_again,
    allowed_checks,
    overlap,
    dropped_rows,
    rescored,
    overfitting,
    not_learning,
    unstable,
    setback,
    low_rate,
    prompt_use,
    plateau,
    improving,
    decline,
    gap,
    carry_over,
    memorisation,
    hard_rows,
    leak_price,
    length_bias,
    repetition,
    collapse,
    forgetting,
    drift,
    staircase,
    spikes,
    dead_tail,
    resolution,
)
"""The rules on a run of ours, in the order in which findings of equal severity are told."""

LOG_RULES: tuple[Rule, ...] = (
    non_finite,
    logged_divergence,
    logged_both_rise,
    logged_climb,
    no_effect,
    logged_overfitting,
    metric_disagrees,
    logged_not_learning,
    unstable,
    logged_setback,
    logged_plateau,
    logged_improving,
    logged_decline,
    staircase,
    spikes,
    dead_tail,
)
"""The rules on the log of another trainer."""

_NEED_SOUND_DATA: dict[Rule, str] = {
    overfitting: "overfitting",
    not_learning: "not_learning",
    low_rate: "low_rate",
    plateau: "plateau",
    improving: "still_improving",
    decline: "healthy_decline",
    gap: "generalisation_gap",
    carry_over: "carry_over",
    memorisation: "memorisation",
    length_bias: "length_bias",
}


def diagnose(evidence: Evidence) -> dict[str, Any]:
    """Apply every rule to what is known.

    Args:
        evidence: Of a run.

    Returns:
        "verdict" with "verdict_reason"; "health", see `health`; "findings", the most important first;
        "rules_not_run" with their reasons; "step_to_ship"; "missing": what a verdict would need;
        "visible_rise": the smallest that would have been seen; "problems": what was noteworthy about
        reading; and how far the run has got.
    """
    findings, not_run = apply_rules(evidence)
    missing = what_is_missing(evidence)
    verdict, reason = give_verdict(evidence, findings)
    if missing:
        findings.append(missing_finding(evidence, missing))
    unjudged = no_likelihood_finding(evidence)
    if unjudged is not None:
        findings.append(unjudged)
    validation = evidence.validation
    return {
        "schema": 1,
        "evidence": "measured" if evidence.log is None else "curve_only",
        "verdict": verdict,
        "verdict_reason": reason,
        "health": health(
            findings,
            not_run,
            of_curves=evidence.log is not None,
            judged=verdict != "not_enough_evidence",
        ),
        "state": evidence.state,
        "goes_on": evidence.goes_on,
        "has_validation": evidence.validation is not None or logged_curve(evidence) is not None,
        "last_step": evidence.last_step,
        "num_evaluations": len(evidence.evals) if evidence.log is None else len(evidence.log.evals),
        "num_validation_rows": validation.num_rows if validation is not None else 0,
        "findings": [one.as_dict() for one in by_importance(findings, verdict)],
        "rules_not_run": [{"rule": one.rule, "reason": one.reason} for one in not_run],
        "missing": missing,
        "visible_rise": (visible_rise if evidence.log is None else logged_visible_rise)(evidence),
        "problems": list(evidence.problems if evidence.log is None else evidence.log.problems),
        "step_to_ship": (step_to_ship if evidence.log is None else logged_step_to_ship)(evidence),
    }


def apply_rules(evidence: Evidence) -> tuple[list[Finding], list[NotRun]]:
    """Run the rules; those that judge losses are withheld where the data makes losses meaningless."""
    findings: list[Finding] = []
    not_run: list[NotRun] = []
    withheld: str | None = None
    for rule in RULES if evidence.log is None else LOG_RULES:
        if withheld is not None and rule in _NEED_SOUND_DATA:
            not_run.append(NotRun(rule=_NEED_SOUND_DATA[rule], reason=f"withheld: {withheld}"))
            continue
        outcome = rule(evidence)
        if isinstance(outcome, Finding):
            findings.append(outcome)
            if rule in (allowed_checks, overlap) and outcome.severity == "critical":
                withheld = outcome.title
        elif outcome is not None:
            not_run.append(outcome)
    return findings, not_run
