"""How far the adapter's distribution lies from its base."""

from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome

RULE = "drift"
_SHOWN = 3.0


def drift(evidence: Evidence) -> Outcome:
    """Tell the drift from the base that compare measured.

    Signal: the mean KL(base || adapter) per target token of validation answers, above 3 times that of the
        base against itself under other batches (the noise of rounding). Info: drift on what was trained for
        is wanted; what it cost elsewhere is told by unrelated text, where compare measured it.
    Gate: compare measured this adapter.
    Advice: a smaller rate or rank where the drift on unrelated text matters.

    Source:
        Rule R21 of docs/diagnose.md; RL's Razor, arXiv:2509.04259: KL on the new task predicts forgetting.
    """
    if evidence.compared is None:
        return NotRun(rule=RULE, reason="compare has not measured this adapter")
    measured: dict[str, Any] = evidence.compared.get("divergences") or {}
    targets, own = measured.get("targets"), measured.get("base_against_itself")
    if not targets or not own:
        return NotRun(rule=RULE, reason="compare measured no answers")
    divergence, floor = targets["kl_base_adapter"], own["kl_base_adapter"]["mean"] or 0.0
    mean, interval = divergence["mean"], divergence.get("interval") or {}
    if mean is None or mean <= _SHOWN * floor:
        return None
    agree = targets["top1_agreement"]["mean"]
    return Finding(
        rule=RULE,
        severity="info",
        title=f"the adapter moved {mean:.2g} nats per token away from its base on validation answers",
        evidence={
            "kl_base_adapter": mean,
            "low": interval.get("low"),
            "high": interval.get("high"),
            "kl_adapter_base": targets["kl_adapter_base"]["mean"],
            "top1_agreement": agree,
            "noise_floor": floor,
            "num_positions": targets["num_positions"],
            "sentence": f"KL(base || adapter) {mean:.4g} nats over {targets['num_positions']:,} positions; "
            "both choose the "
            f"same token at {agree:.0%} of them. The base against itself: {floor:.2g}.",
        },
        how_sure="measured at every target position in float32; whether it is for the better, losses and "
        "answers tell",
        action="none: what it cost elsewhere is told by unrelated text (rule forgetting); for an ability of "
        "your own, lorascope eval --data OTHER",
        would_change="another set of texts",
    )
