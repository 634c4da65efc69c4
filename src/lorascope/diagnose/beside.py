"""Several trainings -> one table, and what may be compared between them. Shapes: N validation rows."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lorascope.diagnose.curves.logged import is_of_tokens, logged_curve
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.steps.local import medians_of_neighbours
from lorascope.metrics.likelihood import perplexity
from lorascope.metrics.uncertainty import MIN_CLUSTERS, paired_ratio_difference

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What two trainings must share before their numbers may be compared.

    Attributes:
        tokenizer: Hash of the tokenizer; None where nobody noted it.
        template: Hash of the template.
        validation: What the validation rows say: id -> bytes of the answer; empty where nobody noted them.
    """

    tokenizer: str | None = None
    template: str | None = None
    validation: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One training of a comparison.

    Attributes:
        name: As the command names it.
        evidence: What is known about it.
        report: Of `diagnose`.
        identity: What its numbers depend on.
    """

    name: str
    evidence: Evidence
    report: Json
    identity: Identity = Identity()


def beside(sides: Sequence[Side]) -> Json:
    """Put trainings beside each other.

    Losses and perplexities are compared only where the same tokenizer, the same template and the same
    validation rows were used: then the difference at the last evaluations is paired by row. Under another
    tokenizer or template of the same rows bits per byte may be compared. Of other trainers' logs nobody knows
    either, so their numbers stand side by side and no difference is told.

    Returns:
        "runs": a row each, with what was noteworthy about reading it; "pairs": for each two what may be
        compared, the difference or the reason why not; "curves": training and evaluation losses of each,
        for drawing.
    """
    return {
        "schema": 1,
        "runs": [_row(side) for side in sides],
        "pairs": [_pair(a, b) for a, b in itertools.combinations(sides, 2)],
        "curves": [_curves(side) for side in sides],
    }


def _row(side: Side) -> Json:
    evidence, report = side.evidence, side.report
    best_step, best, last = _losses(evidence)
    return {
        "name": side.name,
        "evidence": report["evidence"],
        "verdict": report["verdict"],
        "verdict_reason": report["verdict_reason"],
        "health": report["health"]["score"],
        "last_step": report["last_step"],
        "best_step": best_step,
        "best_loss": best,
        "last_loss": last,
        "perplexity": perplexity(last) if last is not None and is_of_tokens(evidence, last) else None,
        "bits_per_byte": _bits_per_byte(side),
        "learning_rate": evidence.learning_rate,
        "num_evaluations": report["num_evaluations"],
        "problems": report["problems"],
        "findings": [
            {"rule": one["rule"], "severity": one["severity"], "title": one["title"]}
            for one in report["findings"]
        ],
    }


def _losses(evidence: Evidence) -> tuple[int | None, float | None, float | None]:
    """Step and loss of the best evaluation, and the loss of the last."""
    series = evidence.validation
    if series is not None:
        best = series.best()
        return series.steps[best], series.loss(best), series.loss(len(series) - 1)
    curve = logged_curve(evidence)
    if curve is None:
        return None, None, None
    return int(curve.step_E[curve.best()]), float(curve.loss_E.min()), float(curve.loss_E[-1])


def _bits_per_byte(side: Side) -> float | None:
    """Of the last evaluation, over the rows whose bytes are known; None where they are not."""
    series, bytes_of = side.evidence.validation, side.identity.validation
    ids = side.evidence.validation_ids
    if series is None or not ids or len(ids) < len(series.num_tokens_N):
        return None
    size_N = np.array([bytes_of.get(one, 0) for one in ids[: len(series.num_tokens_N)]])
    if not size_N.all():
        return None
    return float(series.nll_EN[-1].sum() / (math.log(2) * size_N.sum()))


def _pair(a: Side, b: Side) -> Json:
    told: Json = {"a": a.name, "b": b.name, "comparable": [], "why_not": None, "difference": None}
    reason = _not_comparable(a, b)
    if reason is None:
        told["comparable"] = ["loss", "perplexity", "bits_per_byte"]
        told["difference"] = _difference(a, b)
        return told
    told["why_not"] = reason
    same_rows = a.identity.validation and a.identity.validation == b.identity.validation
    if same_rows and _bits_per_byte(a) is not None and _bits_per_byte(b) is not None:
        told["comparable"] = ["bits_per_byte"]
    return told


def _not_comparable(a: Side, b: Side) -> str | None:
    """Why losses of two trainings must not be compared; None where they may."""
    if a.evidence.log is not None or b.evidence.log is not None:
        return (
            "a log of another trainer does not say which rows were scored, through which template and "
            "tokenizer: "
            "their losses stand side by side, and nothing is concluded from them"
        )
    if a.identity.tokenizer != b.identity.tokenizer:
        return "their tokenizers differ, so a token is another piece of text: compare no perplexities"
    if a.identity.template != b.identity.template:
        return "their templates differ, so the same answer stands behind another prompt"
    if not a.identity.validation or a.identity.validation != b.identity.validation:
        return "their validation rows differ, so a difference says more about the rows than about the models"
    return None


def _difference(a: Side, b: Side) -> Json | None:
    """Loss of the second minus that of the first at their last evaluations, paired by row."""
    first, second = a.evidence.validation, b.evidence.validation
    if first is None or second is None:
        return None
    place = {one: index for index, one in enumerate(b.evidence.validation_ids)}
    shared = [
        (index, place[one])
        for index, one in enumerate(a.evidence.validation_ids[: len(first.num_tokens_N)])
        if place.get(one, len(second.num_tokens_N)) < len(second.num_tokens_N)
    ]
    if len(shared) < MIN_CLUSTERS:
        return None
    of_a, of_b = (np.array(one) for one in zip(*shared, strict=True))
    if (first.num_tokens_N[of_a] != second.num_tokens_N[of_b]).any():
        return None
    change = paired_ratio_difference(
        first.nll_EN[-1][of_a], second.nll_EN[-1][of_b], first.num_tokens_N[of_a]
    )
    winner = f"{b.name if change.high < 0 else a.name} is better"
    if change.low <= 0 <= change.high:
        winner = "no difference is shown"
    return {
        **change.as_dict(),
        "sentence": f"{b.name} - {a.name}: {change.estimate:+.4f} nats per token (95 % interval "
        f"{change.low:+.4f} to "
        f"{change.high:+.4f}, {change.num:,} rows): {winner}",
    }


_MOST_POINTS = 400


def _curves(side: Side) -> Json:
    """Points to draw: every evaluation, and medians of neighbours where there are many training points."""
    evidence = side.evidence
    steps, losses = evidence.steps.step, evidence.steps.loss
    usable = np.isfinite(losses)
    steps, losses = steps[usable], losses[usable]
    train = medians_of_neighbours(steps, losses, _MOST_POINTS).tolist()
    series, curve = evidence.validation, logged_curve(evidence)
    if series is not None:
        validation = [[float(step), series.loss(index)] for index, step in enumerate(series.steps)]
    elif curve is not None:
        validation = [[float(s), float(x)] for s, x in zip(curve.step_E, curve.loss_E, strict=True)]
    else:
        validation = []
    return {"name": side.name, "train": train, "validation": validation}
