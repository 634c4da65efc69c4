"""The same answer to every prompt."""

import numpy as np

from lorascope.diagnose.answers.words import need_answers, words_of
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.metrics.uncertainty import mean_interval

RULE = "collapse"
_FIRST = 20
_WORTH_TELLING = 0.20


def collapse(evidence: Evidence) -> Outcome:
    """Find answers that are the same for different prompts.

    Signal: the share of prompts whose answer begins like another prompt's (first 20 words, whole where
        shorter) lies above the base's and above that of the data's answers, both by 20 points and beyond the
        interval paired by prompt.
    Gate: 30 prompts answered by both.
    Advice: what the training rows have in common.

    Source:
        Rule R20 of docs/diagnose.md. Short answers such as "yes" are alike in the data too: that is why the
        data's answers are the measure.
    """
    answers = need_answers(RULE, evidence)
    if isinstance(answers, NotRun):
        return answers
    own, base, data = (_alike(one) for one in (answers.adapter, answers.base, answers.reference))
    excess = mean_interval(own.astype(float) - np.maximum(base, data).astype(float))
    if excess.low <= 0 or excess.estimate <= _WORTH_TELLING:
        return None
    return Finding(
        rule=RULE,
        severity="warn",
        title=f"{own.mean():.0%} of the answers begin like the answer to another prompt",
        evidence={
            "share": float(own.mean()),
            "share_base": float(base.mean()),
            "share_data": float(data.mean()),
            "excess": excess.estimate,
            "excess_low": excess.low,
            "num_prompts": len(own),
            "sentence": f"Of {len(own)} answers {own.mean():.0%} share their first {_FIRST} words with "
            "another; of the "
            f"base's {base.mean():.0%}, of the data's {data.mean():.0%}.",
        },
        how_sure="paired by prompt, beside base and data",
        action=f"look at what the training rows have in common: {evidence.look_at_data()}",
        would_change="answers that differ as the data's do",
    )


def _alike(texts: tuple[str, ...]) -> np.ndarray:
    """Whether each text begins like another one, [N]."""
    begins = [tuple(words_of(one)[:_FIRST]) for one in texts]
    seen: dict[tuple[str, ...], int] = {}
    for one in begins:
        seen[one] = seen.get(one, 0) + 1
    return np.array([seen[one] > 1 for one in begins], dtype=bool)
