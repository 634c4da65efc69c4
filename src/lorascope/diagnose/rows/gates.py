"""What a rule needs before it may speak, in words that say how much is missing."""

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import NotRun
from lorascope.diagnose.series import Series
from lorascope.metrics.uncertainty import MIN_CLUSTERS

MIN_EVALS = 5
"""Fewer evaluations than this allow no statement about a trend that controls for having looked several
times.
"""


_LEARNT = 0.10


def _need_rows(rule: str, series: Series | None, name: str) -> NotRun | None:
    """Insist on enough examples for an interval that covers what it says."""
    if series is None:
        return NotRun(rule=rule, reason=f"there is no {name} set with losses of single rows")
    if series.num_rows < MIN_CLUSTERS:
        have = counted(series.num_rows, f"{name} row is", f"{name} rows are")
        return NotRun(rule=rule, reason=f"{have} shared, {MIN_CLUSTERS} are needed")
    return None


def _need_evals(rule: str, series: Series, least: int) -> NotRun | None:
    """Insist on enough evaluations."""
    if len(series) < least:
        have = f"there {'is' if len(series) == 1 else 'are'} {counted(len(series), 'evaluation')}"
        return NotRun(rule=rule, reason=f"{have}, {least} are needed")
    return None


def need_series(rule: str, series: Series | None, name: str, least: int = 1) -> NotRun | Series:
    """Insist on enough examples of a set and on enough evaluations.

    Args:
        rule: Name of the rule that asks.
        series: Losses of the set.
        name: Of the set, for people.
        least: Evaluations that are needed.

    Returns:
        The series, or why the rule cannot be run.
    """
    missing = _need_rows(rule, series, name)
    if missing is None and series is not None:
        missing = _need_evals(rule, series, least)
    if missing is not None or series is None:
        return missing or NotRun(rule=rule, reason="nothing was evaluated")
    return series


def need_learnt(rule: str, evidence: Evidence) -> NotRun | None:
    """Insist on a training that has learnt something: a train probe 10 % below the base's loss."""
    probe = evidence.probe
    if probe is None or len(probe) < 2 or probe.steps[0] != 0:
        return NotRun(rule=rule, reason="the base model was not evaluated")
    if probe.loss(len(probe) - 1) > (1 - _LEARNT) * probe.loss(0):
        return NotRun(rule=rule, reason="the loss on training rows fell by less than 10 %")
    return None


def need_both(rule: str, evidence: Evidence, least: int) -> NotRun | tuple[Series, Series]:
    """Insist on enough rows in validation and train probe, and on enough evaluations.

    Returns:
        Validation and probe, or why the rule cannot be run.
    """
    validation, probe = evidence.validation, evidence.probe
    missing = _need_rows(rule, validation, "validation") or _need_rows(rule, probe, "train probe")
    if missing is None and validation is not None:
        missing = _need_evals(rule, validation, least)
    if missing is not None or validation is None or probe is None:
        return missing or NotRun(rule=rule, reason="nothing was evaluated")
    if validation.steps != probe.steps:
        return NotRun(rule=rule, reason="validation and train probe were not evaluated after the same steps")
    return validation, probe
