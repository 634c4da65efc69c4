"""Findings -> one number that never hides a bad one: the least of five parts, each measured or unknown."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lorascope.diagnose.data import few_dropped
from lorascope.diagnose.finding import Finding, NotRun

Json = dict[str, Any]

PARTS: Mapping[str, tuple[str, ...]] = {
    "data": ("prepared_again", "allowed_checks", "overlap", "dropped_rows", "hard_rows", "leak_price"),
    "stability": ("non_finite", "diverging", "unstable", "setback", "spikes", "rescored"),
    "fit": (
        "no_effect",
        "not_learning",
        "low_rate",
        "prompt_use",
        "still_improving",
        "plateau",
        "healthy_decline",
    ),
    "generalisation": ("overfitting", "carry_over", "length_bias", "easier_validation", "forgetting"),
    "generation": ("low_perplexity_trap", "collapse"),
}
"""Part -> the rules that speak for it."""

_BY_SEVERITY = {"info": 90, "warn": 60, "critical": 20}
_CAP = 25  # of the whole, at any critical finding
_AS_INFORMATION: Mapping[str, int] = {
    "healthy_decline": 100,
    "prompt_use": 100,
    "length_bias": 95,
    "still_improving": 85,
}
_PER_SHARE = 400  # points that validation loss loses by rising above its best: 5 % are 20 points


OF_CURVES = frozenset(
    {
        "non_finite",
        "diverging",
        "unstable",
        "setback",
        "spikes",
        "no_effect",
        "not_learning",
        "still_improving",
        "plateau",
        "healthy_decline",
        "overfitting",
    }
)
"""Rules that a log of another trainer can feed; the others' parts stay unknown there."""
_NOT_ALONE = ("easier_validation", "no_effect")
"""Rules that find one thing, and say nothing good of their part where they do not."""
_TOLD_BY = ("fit", "generalisation")
"""Parts without which nothing good can be said of a training."""


def health(
    findings: Sequence[Finding], not_run: Sequence[NotRun], *, of_curves: bool = False, judged: bool = True
) -> Json:
    """Score a training.

    A part is measured where one of its rules could be run; its score is that of its worst finding, 100
    without
    one: 90, 60 and 20 by severity; overfitting 100 less 4 points per percent above the best; carry-over 100
    times its share. The whole is the least of the measured parts, 25 at the most where a finding is critical.
    It is never an average: a good part makes up for nothing.

    Args:
        findings: Of all rules.
        not_run: The rules whose gates did not open.
        of_curves: Whether only a log of another trainer was read.
        judged: Whether there was a verdict. Without one fit and generalisation are unknown unless a warning
            speaks for them: that nothing was found does not say that nothing is there.

    Returns:
        "score" 0 to 100, None where nothing was measured, and where neither a warning was given nor both fit
        and generalisation were measured; "limited_by", the part and the rule that hold it back; "parts", each
        a score or None; "unknown", the parts that were not measured; "told", all of it in one line.
    """
    closed = {one.rule for one in not_run}
    if of_curves:
        closed |= {rule for rules in PARTS.values() for rule in rules if rule not in OF_CURVES}
    scored = _scored(findings, closed, () if judged else _TOLD_BY)
    return {**scored, "told": _told(scored)}


def _scored(findings: Sequence[Finding], closed: Collection[str], untold: Collection[str]) -> Json:
    parts: dict[str, int | None] = {}
    worst_rule: dict[str, str] = {}
    for part, rules in PARTS.items():
        found = {one.rule: _points(one) for one in findings if one.rule in rules}
        warned = any(one.severity != "info" for one in findings if one.rule in rules)
        if part in untold and not warned:
            parts[part] = None
            continue
        if not found and all(rule in closed for rule in rules if rule not in _NOT_ALONE):
            parts[part] = None
            continue
        if found:
            worst_rule[part] = min(found, key=lambda rule: found[rule])
        parts[part] = min(found.values(), default=100)
    measured = {part: score for part, score in parts.items() if score is not None}
    unknown = [part for part, score in parts.items() if score is None]
    warned = any(one.severity != "info" for one in findings)
    if not measured or (not warned and any(parts[part] is None for part in _TOLD_BY)):
        return {"score": None, "limited_by": None, "parts": parts, "unknown": unknown}
    least = min(measured, key=lambda part: measured[part])
    score = measured[least]
    if any(one.severity == "critical" for one in findings):
        score = min(score, _CAP)
    limited_by = {"part": least, "rule": worst_rule.get(least)} if score < 100 else None
    return {"score": score, "limited_by": limited_by, "parts": parts, "unknown": unknown}


def _points(finding: Finding) -> int:
    if finding.rule == "overfitting" and finding.evidence.get("shown", True):
        return max(0, round(100 - _PER_SHARE * float(finding.evidence["share"])))
    if finding.rule == "carry_over":
        return round(100 * min(1.0, max(0.0, float(finding.evidence["carry_over"]))))
    if few_dropped(finding):
        return 100
    if finding.rule == "no_effect":
        return 0
    if finding.severity == "info":
        return _AS_INFORMATION.get(finding.rule, _BY_SEVERITY["info"])
    return _BY_SEVERITY[finding.severity]


def _told(scored: Json) -> str:
    """The score in one line, with what holds it back and what it does not cover."""
    unknown = f"; not measured: {', '.join(scored['unknown'])}" if scored["unknown"] else ""
    if scored["score"] is None:
        return f"unknown{unknown}"
    held = scored["limited_by"]
    why = ""
    if held is not None:
        rule = f" ({held['rule'].replace('_', ' ')})" if held["rule"] else ""
        why = f", held back by {held['part']}{rule}"
    return f"{scored['score']} of 100{why}{unknown}"
