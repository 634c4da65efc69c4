"""What a rule on the training curve needs before it may speak."""

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import NotRun


def need_likelihood(rule: str, evidence: Evidence) -> NotRun | None:
    """Insist on a loss that is a likelihood: a policy loss hovers around 0, and its height is nothing.

    No likelihood of tokens is negative.
    """
    if evidence.log is not None and evidence.log.is_rl:
        return NotRun(rule=rule, reason="rewards are logged: the loss of such a training is no likelihood")
    if evidence.log is not None and evidence.log.is_negative:
        return NotRun(rule=rule, reason="the loss is negative, and no likelihood of tokens is")
    return None


def need_points(rule: str, evidence: Evidence, least: int) -> NotRun | None:
    """Insist on enough training points whose loss is a finite likelihood."""
    missing = need_likelihood(rule, evidence)
    if missing is None and len(evidence.losses) < least:
        after = " since the end of warmup" if evidence.warmed_up else ""
        num = len(evidence.losses)
        have = counted(num, "step") if evidence.log is None else counted(num, "logged loss", "logged losses")
        return NotRun(rule=rule, reason=f"{have}{after}, {least} are needed")
    return missing
