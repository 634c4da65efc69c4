"""What rules on answers share: their gate, and what counts as a word."""

from lorascope.diagnose.counts import counted
from lorascope.diagnose.evidence import Answers, Evidence
from lorascope.diagnose.finding import NotRun
from lorascope.metrics.words import WORD

LEAST_PROMPTS = 30


def need_answers(rule: str, evidence: Evidence) -> NotRun | Answers:
    """Insist on enough prompts that base and adapter answered.

    Returns:
        The answers, or why the rule cannot be run.
    """
    answers = evidence.answers
    if answers is None:
        return NotRun(rule=rule, reason="eval has not generated answers with this adapter and its base")
    if len(answers.adapter) < LEAST_PROMPTS:
        have = counted(len(answers.adapter), "prompt was answered", "prompts were answered")
        return NotRun(rule=rule, reason=f"{have}, {LEAST_PROMPTS} are needed")
    return answers


def words_of(text: str) -> list[str]:
    """The words of a text; of scripts without spaces, its characters."""
    return WORD.findall(text.casefold())
