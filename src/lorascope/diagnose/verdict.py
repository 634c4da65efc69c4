"""Findings -> one verdict with its reason, and what is missing where there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.diagnose.curves.logged import MIN_EVALS as LOGGED_EVALS
from lorascope.diagnose.curves.logged import MIN_POINTS, logged_curve
from lorascope.diagnose.data import few_dropped
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import SEVERITIES, Finding
from lorascope.diagnose.rows.gates import MIN_EVALS
from lorascope.diagnose.rows.low_rate import HARDLY
from lorascope.diagnose.rows.resolution import hold_out_more
from lorascope.metrics.uncertainty import MIN_CLUSTERS

VERDICTS = (
    "non_finite",
    "diverging",
    "not_learning",
    "overfitting",
    "unstable",
    "plateau",
    "still_improving",
    "healthy",
    "not_enough_evidence",
)
"""Every verdict there is, the gravest first."""

_GRAVE = {
    "overfitting": "overfitting",
    "not_learning": "not_learning",
    "low_rate": "not_learning",
    "prompt_use": "not_learning",
    "unstable": "unstable",
    "setback": "unstable",
}
"""Rules that decide the verdict once nothing graver was found, in this order; what they tell as information
does not.
"""
_DATA_RULES = ("allowed_checks", "overlap")
_ENOUGH_ROWS = 200  # pairs see a rise of 1 to 2 % of the loss, section 2.1 of docs/diagnose.md


def give_verdict(evidence: Evidence, findings: Sequence[Finding]) -> tuple[str, str]:
    """Come to one verdict.

    What makes the numbers meaningless comes first (not finite, diverging, no effect, data whose validation
    loss is none), then what was shown, the gravest first; what could not be judged is "not_enough_evidence".

    Args:
        evidence: What is known about the run.
        findings: Of all rules.

    Returns:
        One of VERDICTS, and its reason in a sentence.
    """
    found = {one.rule: one for one in findings}
    if "non_finite" in found and found["non_finite"].severity == "critical":
        return "non_finite", found["non_finite"].title
    if "diverging" in found:
        return "diverging", found["diverging"].title
    if "no_effect" in found:
        return "not_learning", found["no_effect"].title
    for rule in _DATA_RULES:
        if rule in found and found[rule].severity == "critical":
            return "not_enough_evidence", f"the losses cannot be judged: {found[rule].title}"
    # An evaluation loss that rose, and nothing tells whether by overfitting or by divergence.
    risen = found.get("overfitting")
    risen = risen if risen is not None and not risen.evidence.get("shown", True) else None
    for rule, verdict in _GRAVE.items():
        one = found.get(rule)
        if one is not None and one is not risen and (rule == verdict or one.severity != "info"):
            slow = rule == "low_rate" and one.evidence["share"] >= HARDLY
            return ("still_improving" if slow else verdict), one.title
    missing = what_is_missing(evidence)
    if evidence.log is not None and (evidence.log.is_rl or evidence.log.is_negative):
        return "not_enough_evidence", _NO_LIKELIHOOD if evidence.log.is_rl else _NEGATIVE
    if evidence.log is not None:
        return _of_a_curve(found, missing, risen, _what_few_did(evidence))
    if missing:
        return "not_enough_evidence", _told(missing)
    return _shown(found) or ("not_enough_evidence", _NOTHING_SHOWN)


_NOTHING_SHOWN = "validation loss is shown neither to have fallen nor to have risen nor to be flat"


def _what_few_did(evidence: Evidence) -> str:
    """What evaluations too few to judge did, as the end of a sentence; nothing where there are not two."""
    curve = logged_curve(evidence)
    if curve is None or not 1 < len(curve) < LOGGED_EVALS:
        return ""
    before, after = float(curve.loss_E[0]), float(curve.loss_E[-1])
    return f"; evaluation went from {before:.4g} to {after:.4g} over {len(curve)} of them"


def _shown(found: Mapping[str, Finding]) -> tuple[str, str] | None:
    """Flat, falling or fallen; None where nothing of that is shown."""
    declined, flat, falling = (found.get(rule) for rule in ("healthy_decline", "plateau", "still_improving"))
    if flat is not None and not (flat.evidence["annealed"] and declined):
        return "plateau", flat.title
    if falling is not None:
        return "still_improving", falling.title
    if declined is not None:
        return "healthy", declined.title + (f"; {flat.title}" if flat else "")
    return None


def _of_a_curve(
    found: Mapping[str, Finding], missing: Sequence[dict[str, Any]], risen: Finding | None, few: str
) -> tuple[str, str]:
    """The verdict on the log of another trainer, where nothing grave was found."""
    if risen is not None and risen.severity != "info":
        return "not_enough_evidence", risen.title
    unevaluated = any(one["what"] == "evaluations" for one in missing)
    if unevaluated and "staircase" in found:
        # Nothing is learnt from rows as they come, only from rows that come again.
        return "plateau", found["staircase"].title
    shown = _shown(found)
    if shown is not None:
        return shown
    if risen is not None:
        return "not_enough_evidence", risen.title
    return "not_enough_evidence", _told(missing) + few if missing else _NOTHING_SHOWN


_NEGATIVE = "the loss is negative: it is no likelihood, and its height means nothing"
_NO_LIKELIHOOD = (
    "rewards are logged: the loss of such a training is no likelihood, and its height means nothing"
)


def _told(missing: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{one['what']}: {one['have']} of {one['need']}" for one in missing)


def what_is_missing(evidence: Evidence) -> list[dict[str, Any]]:
    """What a verdict on validation would need, and how much of it is there.

    Returns:
        One entry per thing: "what", "have", "need" and the command that gets it, "how".
    """
    if evidence.log is not None:
        return _missing_in_log(evidence)
    missing: list[dict[str, Any]] = []
    validation = evidence.validation
    rows = validation.num_rows if validation is not None else 0
    if rows < MIN_CLUSTERS:
        how = hold_out_more(evidence, _ENOUGH_ROWS)
        missing.append({"what": "validation rows", "have": rows, "need": MIN_CLUSTERS, "how": how})
    evals = len(evidence.evals)
    if evals < MIN_EVALS:
        if evidence.state == "unfinished":
            how = evidence.let_it_go_on()
        else:
            how = evidence.retrain(eval_steps=max(1, evidence.last_step // (2 * MIN_EVALS)))
        missing.append({"what": "evaluations", "have": evals, "need": MIN_EVALS, "how": how})
    return missing


def _missing_in_log(evidence: Evidence) -> list[dict[str, Any]]:
    if evidence.log is not None and (evidence.log.is_rl or evidence.log.is_negative):
        return []  # more points of it would tell no more
    curve = logged_curve(evidence)
    missing: list[dict[str, Any]] = []
    if len(evidence.losses) < MIN_POINTS:
        how = "log more often: every step of a short training"
        missing.append(
            {"what": "training points", "have": len(evidence.losses), "need": MIN_POINTS, "how": how}
        )
    if curve is None or len(curve) < LOGGED_EVALS:
        how = f"hold out validation rows and evaluate at least {LOGGED_EVALS} times"
        have = 0 if curve is None else len(curve)
        missing.append({"what": "evaluations", "have": have, "need": LOGGED_EVALS, "how": how})
    return missing


def missing_finding(evidence: Evidence, missing: Sequence[dict[str, Any]]) -> Finding:
    """The finding that there is too little to judge."""
    told = "; ".join(f"{one['have']} of the {one['need']} {one['what']} that are needed" for one in missing)
    return Finding(
        rule="not_enough_evidence",
        severity="info",
        title=f"too little to judge by: {told}",
        evidence={
            **{one["what"].replace(" ", "_"): one["have"] for one in missing},
            "sentence": f"So far {told}.",
        },
        how_sure="certain; with fewer rows a 95 % interval covers less than 93 %, and nobody can tell by "
        "how much"
        if evidence.log is None
        else "certain: counted",
        action=missing[0]["how"],
        would_change=f"{missing[0]['need']} {missing[0]['what']} or more",
    )


_REWARDS_SHOWN = 3


def no_likelihood_finding(evidence: Evidence) -> Finding | None:
    """The finding that a loss is no likelihood, with what to look at in its place; None where it is one."""
    log = evidence.log
    if log is None or not (log.is_rl or log.is_negative):
        return None
    shown = ", ".join(f'"{one}"' for one in log.rewards[:_REWARDS_SHOWN])
    more = f" and {len(log.rewards) - _REWARDS_SHOWN} more" if len(log.rewards) > _REWARDS_SHOWN else ""
    if log.is_rl:
        why = (
            f"Rewards are logged: {shown}{more}. The loss of such a training hovers around 0 while it learns"
        )
        action = (
            f"look at the curve of {shown}{more}: it must rise, and the rewards of held-out prompts with it; "
            "then read answers, because a reward can be earned without what it was meant for"
        )
    else:
        why = "Losses of tokens are never below 0, so this one holds other terms, or is a reward"
        action = (
            "log the negative log-likelihood of the tokens beside it and name it with --column loss=NAME, or "
            "look at what the trainer adds to its loss"
        )
    return Finding(
        rule="not_enough_evidence",
        severity="info",
        title="the loss is no likelihood, so its height is not judged",
        evidence={"rewards": list(log.rewards), "num_points": log.num_points, "sentence": f"{why}."},
        how_sure="certain for a loss of this kind; whether the training is good, its loss does not say",
        action=action,
        would_change="a log with the likelihood of the tokens",
    )


def by_importance(findings: Sequence[Finding], verdict: str) -> list[Finding]:
    """Order findings: the severest first, among equals what the verdict rests on, then the data.

    A few rows that were left out come last.
    """

    def rank(one: Finding) -> tuple[int, bool, bool, bool]:
        of_data = one.rule in _DATA_RULES
        return -SEVERITIES.index(one.severity), one.rule != verdict, not of_data, few_dropped(one)

    return sorted(findings, key=rank)
