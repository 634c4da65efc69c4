"""Findings -> one verdict with its reason, and what is missing where there is none."""

from collections.abc import Sequence
from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import SEVERITIES, Finding
from lorascope.diagnose.gates import MIN_EVALS
from lorascope.diagnose.resolution import hold_out_more
from lorascope.errors import command
from lorascope.metrics.uncertainty import MIN_CLUSTERS

VERDICTS = (
    "non_finite",
    "diverging",
    "not_learning",
    "overfitting",
    "plateau",
    "still_improving",
    "healthy",
    "not_enough_evidence",
)
"""Every verdict there is, the gravest first."""

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
    for rule in ("overfitting", "not_learning"):
        if rule in found:
            return rule, found[rule].title
    missing = what_is_missing(evidence)
    if missing:
        return "not_enough_evidence", "; ".join(
            f"{one['what']}: {one['have']} of {one['need']}" for one in missing
        )
    declined, flat, falling = (found.get(rule) for rule in ("healthy_decline", "plateau", "still_improving"))
    if flat is not None and not (flat.evidence["annealed"] and declined):
        return "plateau", flat.title
    if falling is not None:
        return "still_improving", falling.title
    if declined is not None:
        return "healthy", declined.title + (f"; {flat.title}" if flat else "")
    return (
        "not_enough_evidence",
        "validation loss is shown neither to have fallen nor to have risen nor to be flat",
    )


def what_is_missing(evidence: Evidence) -> list[dict[str, Any]]:
    """What a verdict on validation would need, and how much of it is there.

    Returns:
        One entry per thing: "what", "have", "need" and the command that gets it, "how".
    """
    missing: list[dict[str, Any]] = []
    validation = evidence.validation
    rows = validation.num_rows if validation is not None else 0
    if rows < MIN_CLUSTERS:
        how = hold_out_more(evidence, _ENOUGH_ROWS)
        missing.append({"what": "validation rows", "have": rows, "need": MIN_CLUSTERS, "how": how})
    evals = len(evidence.evals)
    if evals < MIN_EVALS:
        if evidence.state == "unfinished":
            how = f"let it go on; if it was interrupted: {command('train', evidence.run, '--resume')}"
        else:
            how = evidence.retrain(f"train.eval_steps={max(1, evidence.last_step // (2 * MIN_EVALS))}")
        missing.append({"what": "evaluations", "have": evals, "need": MIN_EVALS, "how": how})
    return missing


def missing_finding(missing: Sequence[dict[str, Any]]) -> Finding:
    """The finding that there is too little to judge."""
    told = "; ".join(f"{one['have']} {one['what']} of the {one['need']} that are needed" for one in missing)
    return Finding(
        rule="not_enough_evidence",
        severity="info",
        title=f"too little to judge validation by: {told}",
        evidence={
            **{one["what"].replace(" ", "_"): one["have"] for one in missing},
            "sentence": f"There are {told}.",
        },
        how_sure="certain; with fewer rows a 95 % interval covers less than 93 %, and nobody can tell by how "
        "much",
        action=missing[0]["how"],
        would_change=f"{missing[0]['need']} {missing[0]['what']} or more",
    )


def by_importance(findings: Sequence[Finding], verdict: str) -> list[Finding]:
    """Order findings: the severest first, among equals what the verdict rests on, then the data."""

    def rank(one: Finding) -> tuple[int, bool, bool]:
        return -SEVERITIES.index(one.severity), one.rule != verdict, one.rule not in _DATA_RULES

    return sorted(findings, key=rank)
