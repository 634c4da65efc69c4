"""What the adapter has forgotten: its loss on text unrelated to the data, beside its base's."""

import math
from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.metrics.likelihood import can_read

RULE = "forgetting"
_WARN = 0.05  # rise of the perplexity
_WORTH_TELLING = 0.005  # pairing shows less than this, but it is nothing to act on


def forgetting(evidence: Evidence) -> Outcome:
    """Tell that the adapter predicts unrelated text worse than its base.

    Signal: the difference of the mean nats per token, paired by passage, has a 95 % interval above 0. Warn
        where perplexity, exp of the mean, rose by 5 % or more; info from 0.5 % on.
    Gate: compare measured this adapter, on 20 passages or more; and the base can read the text: its loss is
        below 0.75 of ln(vocabulary), which is that of guessing.
    Advice: a smaller learning rate, fewer epochs, or general text among the training rows.

    Source:
        Rule R21 of docs/diagnose.md. Luo et al. 2023, arXiv:2308.08747, measure forgetting in fine-tuned
        models by their answers; Biderman et al. 2024, arXiv:2405.09673, in LoRA. Here it is the loss, which
        needs no answers. The limits of 5 % and 0.5 % are ours.
    """
    measured = _measured(evidence)
    if isinstance(measured, NotRun):
        return measured
    difference = measured["difference"]
    rise = math.expm1(difference["estimate"])
    if difference["low"] <= 0 or rise < _WORTH_TELLING:
        return None
    base, adapter = measured["base"]["loss"], measured["adapter"]["loss"]
    low, high = math.expm1(difference["low"]), math.expm1(difference["high"])
    passages, tokens = measured["num_passages"], measured["num_tokens"]
    return Finding(
        rule=RULE,
        severity="warn" if rise >= _WARN else "info",
        title=f"unrelated text became harder: its perplexity rose by {rise:.1%}",
        evidence={
            "loss_base": base,
            "loss_adapter": adapter,
            "difference": difference["estimate"],
            "low": difference["low"],
            "high": difference["high"],
            "perplexity_rise": rise,
            "kl_base_adapter": measured["kl_base_adapter"]["mean"],
            "top1_agreement": measured["top1_agreement"]["mean"],
            "num_passages": passages,
            "num_tokens": tokens,
            "sentence": f"On {passages} passages ({measured['from']}, {tokens:,} tokens) the base loses "
            f"{base:.3f} nats per token and the adapter {adapter:.3f}: perplexity rose by {rise:.1%} "
            f"(95 % interval {low:.1%} to {high:.1%}).",
        },
        how_sure="paired by passage; that text of this kind became harder is shown, which abilities went "
        "with it is not",
        action=_action(evidence, rise),
        would_change="text of another kind: --set compare.unrelated=FILE; where only the trained task "
        "matters, this may be its price",
    )


def _measured(evidence: Evidence) -> dict[str, Any] | NotRun:
    """What compare measured on unrelated text, or why the rule cannot be run."""
    if evidence.compared is None:
        return NotRun(rule=RULE, reason="compare has not measured this adapter")
    measured: dict[str, Any] | None = evidence.compared.get("unrelated")
    if measured is None:
        why = evidence.compared.get("unrelated_why") or "this comparison was made before it could be"
        return NotRun(rule=RULE, reason=f"unrelated text was not measured: {why}")
    base, vocabulary = measured["base"]["loss"], measured["vocabulary"]
    if not can_read(base, vocabulary):
        reason = (
            f"the base cannot read the unrelated text: it loses {base:.2f} nats per token, where guessing "
            f"among {vocabulary:,} tokens loses {math.log(vocabulary):.2f}; name text it can read: "
            "--set compare.unrelated=FILE"
        )
        return NotRun(rule=RULE, reason=reason)
    return measured


def _action(evidence: Evidence, rise: float) -> str:
    """How far to go: a third of the learning rate where it is much, half the epochs where it is little."""
    mixed = "or mix general text into the training rows, a tenth of them to begin with"
    if rise >= _WARN:
        return f"where other abilities matter, a third of the learning rate: {evidence.slower()}; {mixed}"
    return f"none for the trained task alone; else fewer epochs, {mixed}"
