"""How much worse validation rows are predicted than training rows, at the end of the log."""

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_both
from lorascope.diagnose.series import Series
from lorascope.metrics.uncertainty import Interval, exp_interval, independent_difference, ratio_interval

RULE = "generalisation_gap"
EASIER = "easier_validation"
_WORTH_TELLING = 1.05


def gap(evidence: Evidence) -> Outcome:
    """Compare validation with the train probe, both measured the same way.

        g = loss of validation - loss of the train probe        told as exp(g), a ratio of perplexities

    Signal: the interval of exp(g) lies above 1 and the ratio is 1.05 or more; or the interval lies below 1,
        which a leak does not explain (a leaked row behaves like a training row), so the causes are listed.
        The base model's own gap is told beside it where it was evaluated.
    Gate: an evaluation, 20 rows in both sets.
    Advice: what was learnt that carries over (carry_over); for validation below training, the rows.

    Source:
        Rules R13 and R14 of docs/diagnose.md. The sets are independent samples, so their variances add.
    """
    ready = need_both(RULE, evidence, 1)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    last = len(validation) - 1
    difference = _gap_at(validation, probe, last)
    ratio = exp_interval(difference)
    if ratio.high < 1:
        return _easier(evidence, ratio, _base_gap(validation, probe))
    if ratio.low <= 1 or ratio.estimate < _WORTH_TELLING:
        return None
    base = _base_gap(validation, probe)
    own = f"; before training it was {base.estimate:.2f}x" if base is not None else ""
    return Finding(
        rule=RULE,
        severity="info",
        title=f"validation perplexity is {ratio.estimate:.2f}x that of training rows",
        evidence={
            **_numbers(ratio, base),
            "num_rows": validation.num_rows,
            "sentence": f"exp(loss of validation - loss of the train probe) = {ratio.estimate:.3f} (95 % "
            "interval "
            f"{ratio.low:.3f} to {ratio.high:.3f}){own}.",
        },
        how_sure="two samples of rows, measured by the same code in the same mode; a gap is normal, its "
        "growth is "
        "what overfitting means",
        action="see how much of what was learnt carries over; more data or fewer epochs narrow it",
        would_change="a ratio whose interval includes 1",
    )


def _easier(evidence: Evidence, ratio: Interval, base: Interval | None) -> Finding:
    before = base is not None and base.high < 1
    cause = (
        "its rows were easier before training too"
        if before
        else "ask whether its rows were duplicated in training more often than others, or filtered to be "
        "short"
    )
    return Finding(
        rule=EASIER,
        severity="info",
        title=f"validation is easier than training: {ratio.estimate:.2f}x its perplexity",
        evidence={
            **_numbers(ratio, base),
            "sentence": f"exp(loss of validation - loss of the train probe) = {ratio.estimate:.3f} (95 % "
            "interval "
            f"{ratio.low:.3f} to {ratio.high:.3f}): {cause}.",
        },
        how_sure="dropout and a lagging training loss are ruled out: both sets are scored by the same code "
        "in the same "
        "mode. A leak alone would bring the ratio to 1, not below",
        action=f"investigate: {evidence.look_at_data()}",
        would_change="another draw of the validation split",
    )


def _numbers(ratio: Interval, base: Interval | None) -> dict[str, float | None]:
    return {
        "ratio": ratio.estimate,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "base_ratio": base.estimate if base is not None else None,
    }


def _base_gap(validation: Series, probe: Series) -> Interval | None:
    """The ratio before the first step; None where that was not evaluated."""
    return exp_interval(_gap_at(validation, probe, 0)) if validation.steps[0] == 0 else None


def _gap_at(validation: Series, probe: Series, index: int) -> Interval:
    of_probe = ratio_interval(probe.nll_EN[index], probe.num_tokens_N)
    of_validation = ratio_interval(validation.nll_EN[index], validation.num_tokens_N)
    return independent_difference(of_probe, of_validation)
