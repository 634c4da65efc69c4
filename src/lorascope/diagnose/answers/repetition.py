"""Answers that repeat themselves or never stop, at a low perplexity: the low-perplexity trap."""

import numpy as np

from lorascope.diagnose.answers.words import LEAST_PROMPTS, need_answers, words_of
from lorascope.diagnose.evidence import Answers, Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.metrics.repetition import longest_loop, seq_rep_n
from lorascope.metrics.uncertainty import Interval, mean_interval

RULE = "low_perplexity_trap"
_WORTH_TELLING = 0.05
_LEAST_WORDS = 16
_LOOP = 12


def repetition(evidence: Evidence) -> Outcome:
    """Find generations that are degenerate although the loss is low.

    Signal: the share of repeated 4-grams of the adapter's answers lies above that of the base's and of the
        data's answers, both by 0.05 and beyond the interval paired by prompt; or the share of answers that do
        not end by a stop token lies above the base's by 5 points and beyond its interval. Loops are counted.
    Gate: 30 prompts answered by both; for repetition 30 answers of 16 words, else only the ends are judged.
    Advice: the end-of-text mask and the learning rate first, a repetition penalty last.

    Source:
        Rule R19 of docs/diagnose.md; seq-rep-4 of Welleck et al. 2020, arXiv:1908.04319. In words, because
        base and adapter share a tokenizer but other runs do not.
    """
    answers = need_answers(RULE, evidence)
    if isinstance(answers, NotRun):
        return answers
    excess = _repetition_excess(answers)
    endless = mean_interval((~answers.adapter_stopped).astype(float) - (~answers.base_stopped).astype(float))
    repeats = excess is not None and excess.low > 0 and excess.estimate > _WORTH_TELLING
    never_ends = endless.low > 0 and endless.estimate > _WORTH_TELLING
    if not repeats and not never_ends:
        return None
    loops = sum(longest_loop(words_of(one)) >= _LOOP for one in answers.adapter)
    told = []
    if excess is not None and repeats:
        told.append(f"{excess.estimate:.0%} more of its 4-grams repeat than of the base's or the data's")
    if never_ends:
        told.append(
            f"{(~answers.adapter_stopped).mean():.0%} of its answers never end, of the base's "
            f"{(~answers.base_stopped).mean():.0%}"
        )
    return Finding(
        rule=RULE,
        severity="warn",
        title="the adapter repeats itself" if repeats else "the adapter does not stop",
        evidence={
            "excess_seq_rep_4": excess.estimate if excess is not None else None,
            "excess_low": excess.low if excess is not None else None,
            "without_stop": float((~answers.adapter_stopped).mean()),
            "without_stop_base": float((~answers.base_stopped).mean()),
            "loops": loops,
            "num_prompts": len(answers.adapter),
            "sentence": f"On {len(answers.adapter)} validation prompts {' and '.join(told)}; {loops} "
            "answers run in a "
            "loop. A low perplexity of given answers does not show this.",
        },
        how_sure="paired by prompt, beside base and data: lists and tables repeat for good reasons",
        action="see that the end of every answer is trained on, then lower the rate: "
        f"{evidence.look_at_data()}",
        would_change="answers that end and repeat no more than the data's",
    )


def _repetition_excess(answers: Answers) -> Interval | None:
    """How much more the adapter repeats than base and data, paired; None where answers are short."""
    shares = []
    for adapter, base, reference in zip(answers.adapter, answers.base, answers.reference, strict=True):
        if len(words_of(adapter)) < _LEAST_WORDS:
            continue
        others = [seq_rep_n(words_of(one)) for one in (base, reference) if len(words_of(one)) >= 4]
        shares.append(seq_rep_n(words_of(adapter)) - max(others, default=0.0))
    return mean_interval(np.array(shares)) if len(shares) >= LEAST_PROMPTS else None
