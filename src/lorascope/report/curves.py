"""Section: loss and perplexity of train probe and validation on one axis, and every step below."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lorascope.metrics.likelihood import mean_nll
from lorascope.pages.document import section
from lorascope.pages.lines import line_chart
from lorascope.pages.markup import Html
from lorascope.pages.series import Marker, Series
from lorascope.pages.table import table
from lorascope.report.facts import Facts
from lorascope.report.sentences import told_perplexity
from lorascope.run.records import EvalRecord, SetScore


def curves_section(facts: Facts) -> Html | None:
    """The curves; None before training."""
    if not facts.evals:
        return None
    markers = _markers(facts)
    first = int(facts.config["train"]["eval_examples"])
    body = [
        _loss_chart(facts.evals, first, markers),
        _perplexity_chart(facts.evals, first, markers),
        _bits_chart(facts, first, markers),
        _source_chart(facts.evals, markers),
        _steps_chart(facts, markers),
        _evaluations(facts.evals),
    ]
    lead = (
        "Train probe and validation are scored by the same code in the same mode. Their distance before the "
        "first step is the luck of which rows were drawn; what training adds to it is the generalisation gap."
    )
    return section("curves", "How it learned", [piece for piece in body if piece is not None], lead)


def _markers(facts: Facts) -> list[Marker]:
    best = (facts.train or {}).get("best_step")
    markers = [Marker(best, f"lowest validation loss: step {best}")] if best else []
    found = {marker.x for marker in markers}
    for finding in (facts.diagnose or {}).get("findings", []):
        step = _where(finding)
        if step is not None and step not in found:
            found.add(step)
            markers.append(Marker(step, f"{finding['rule'].replace('_', ' ')}: step {step:,}"))
    return markers


_PLACES = {
    "non_finite": "step",
    "overfitting": "best_step",
    "plateau": "first_step",
    "diverging": "best_step",
    "spikes": "largest_step",
    "dead_learning_rate": "last_step_alive",
}
"""Rule -> the number in its evidence that says where on the curve it was found."""


def _where(finding: dict[str, Any]) -> int | None:
    value = finding["evidence"].get(_PLACES.get(finding["rule"], ""))
    return None if value is None else int(value)


_BAND = (
    "The band is the 95 % interval over validation examples; it says how far this set speaks for all others, "
    "not how far two evaluations of the same set differ."
)
_PROBE_ALONE = "The line is the train probe, rows that are learnt; nothing was held out."


def _common(score: SetScore | None, first: int) -> float | None:
    """Loss over the examples that every evaluation of the run scored."""
    if score is None:
        return None
    return mean_nll(np.array(score.nll_sums[:first]), np.array(score.num_tokens[:first]))


def _loss_chart(evals: Sequence[EvalRecord], first: int, markers: Sequence[Marker]) -> Html:
    steps = [record.step for record in evals]
    series = [
        Series(
            "train probe", steps, [_common(record.probe, first) for record in evals], style="marked", color=1
        )
    ]
    if evals[0].validation is not None:
        lows = [record.validation.low if record.validation else None for record in evals]
        highs = [record.validation.high if record.validation else None for record in evals]
        losses = [_common(record.validation, first) for record in evals]
        series.append(Series("validation", steps, losses, lows, highs, style="marked", color=2))
    return line_chart(
        series,
        x_label="step",
        y_label="nats per target token",
        toggle=True,
        markers=markers,
        title="Loss",
        caption=_BAND if len(series) > 1 else _PROBE_ALONE,
    )


def _perplexity_chart(evals: Sequence[EvalRecord], first: int, markers: Sequence[Marker]) -> Html:
    steps = [record.step for record in evals]

    def exp(loss: float | None) -> float | None:
        return None if loss is None else math.exp(min(loss, 700.0))

    series = [
        Series("train probe", steps, [exp(_common(r.probe, first)) for r in evals], style="marked", color=1),
    ]
    if evals[0].validation is not None:
        values = [exp(_common(record.validation, first)) for record in evals]
        series.append(Series("validation", steps, values, style="marked", color=2))
    return line_chart(
        series,
        x_label="step",
        y_label="perplexity",
        log_y=True,
        toggle=True,
        markers=markers,
        title="Perplexity: among how many tokens the model seems to choose",
        caption=None if len(series) > 1 else _PROBE_ALONE,
    )


def _bits_chart(facts: Facts, first: int, markers: Sequence[Marker]) -> Html | None:
    """Bits per byte of validation answers; None where nobody knows their bytes."""
    sizes = facts.validation_bytes[:first]
    scored = [record.validation for record in facts.evals]
    if not sizes or any(one is None or len(one.nll_sums) < len(sizes) for one in scored):
        return None
    bits = [sum(one.nll_sums[: len(sizes)]) / math.log(2) / sum(sizes) for one in scored if one is not None]
    steps = [record.step for record in facts.evals]
    return line_chart(
        [Series("validation", steps, bits, style="marked", color=2)],
        x_label="step",
        y_label="bits per byte of the answers",
        toggle=True,
        markers=markers,
        title="Bits per byte: the number that compares across tokenizers",
    )


def _source_chart(evals: Sequence[EvalRecord], markers: Sequence[Marker]) -> Html | None:
    """The loss of each data source; None where the run has one."""
    validation = evals[0].validation
    name = "train probe" if validation is None else "validation"
    scores = [record.probe if validation is None else record.validation for record in evals]
    losses = [(score.by_source or {}) if score else {} for score in scores]
    sources = sorted({source for own in losses for source in own})
    if len(sources) < 2:
        return None
    steps = [record.step for record in evals]
    series = [
        Series(source, steps, [own.get(source) for own in losses], style="marked") for source in sources
    ]
    return line_chart(
        series,
        x_label="step",
        y_label="nats per target token",
        toggle=True,
        markers=markers,
        title=f"Loss by data source, {name}",
        caption="Sources differ in how hard they are: read each line by its own fall, not by its height. The "
        "last evaluation scores all examples, those before it the first of them.",
    )


def _steps_chart(facts: Facts, markers: Sequence[Marker]) -> Html | None:
    if not facts.steps:
        return None
    steps = [record.step for record in facts.steps]
    raw = [math.nan if record.loss is None else record.loss for record in facts.steps]
    series = [Series("each step", steps, raw, style="faint", color=3)]
    if len(raw) >= 20:
        series.append(Series("median of the last 15", steps, _running_median(raw, 15), color=3))
    return line_chart(
        series,
        x_label="step",
        y_label="nats per target token",
        markers=markers,
        title="Training loss, every step as it was",
        caption="Each point is the loss of other examples on a model that was still moving: read its trend "
        "only.",
    )


def _running_median(values: Sequence[float], width: int) -> list[float | None]:
    out: list[float | None] = []
    for end in range(1, len(values) + 1):
        window = [v for v in values[max(0, end - width) : end] if math.isfinite(v)]
        out.append(float(np.median(window)) if end >= width and window else None)
    return out


def _evaluations(evals: Sequence[EvalRecord]) -> Html:
    rows = []
    for record in evals:
        validation = record.validation
        interval = (
            ""
            if validation is None or validation.low is None
            else f"{validation.low:.3f} to {validation.high:.3f}"
        )
        rows.append(
            (
                record.step,
                f"{record.epoch:.2f}",
                told_perplexity(record.probe.loss),
                "no split" if validation is None else told_perplexity(validation.loss),
                interval,
                validation.num_examples if validation else 0,
            )
        )
    columns = ("Step", "Epoch", "Train probe", "Validation", "95 % interval", "Examples")
    return table(columns, rows, caption="Loss (perplexity)", align=("right",) * 6)
