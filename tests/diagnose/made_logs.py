"""Logs of another trainer with planted truth, through the same door as real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.curve import Facts
from lorascope.diagnose.logs.points import logged_run


def made_log(
    losses: Sequence[float],
    evals: Mapping[int, float] | None = None,
    *,
    metrics: Mapping[str, Mapping[int, float]] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    rate: Sequence[float] | float = 2e-4,
    grad_norm: Sequence[float] | float = 1.0,
    epochs: float = 1.0,
    path: Path = Path("log.jsonl"),
    facts: Facts | None = None,
    more: Mapping[str, Any] | None = None,
) -> Evidence:
    """A log with one training point per step.

    Args:
        losses: Of the steps, from 1 on.
        evals: Step -> evaluation loss.
        metrics: Name -> step -> what evaluations measured beside their loss, at the steps of `evals`.
        noise: Log-normal noise on the losses.
        seed: Of the noise.
        rate: Learning rate of every step, or of each.
        grad_norm: The same for the gradient.
        epochs: Over all steps.
        path: Where the log lies, for checkpoints beside it.
        facts: What the log says was planned.
        more: Further names in every entry, as trainers of other kinds log them.
    """
    drawn = np.asarray(losses) * np.random.default_rng(seed).lognormal(0.0, noise, len(losses))
    rates, norms = np.broadcast_to(rate, len(drawn)), np.broadcast_to(grad_norm, len(drawn))
    entries: list[dict[str, Any]] = []
    for index, loss in enumerate(drawn):
        step = index + 1
        at = {"step": step, "epoch": epochs * step / len(drawn)}
        told = {"loss": float(loss), "learning_rate": float(rates[index]), "grad_norm": float(norms[index])}
        entries.append({**at, **told, **(more or {})})
        if evals and step in evals:
            measured = {name: values[step] for name, values in (metrics or {}).items() if step in values}
            entries.append({**at, "eval_loss": evals[step], **measured})
    return log_evidence(logged_run(entries, path=path, form="JSONL", facts=facts), str(path))
