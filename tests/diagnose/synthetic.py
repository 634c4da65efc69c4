"""Synthetic runs with planted truth: rows of unequal length and difficulty that follow a given curve."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.logs.curve import TrainPoints
from lorascope.diagnose.logs.step_log import step_points
from lorascope.run.records import EvalRecord, SetScore, StepRecord

STEPS_PER_EVAL = 10


def rows_following(
    curve: Sequence[float], num_rows: int, generator: np.random.Generator, *, spread: float, drift: bool
) -> list[SetScore]:
    """Scores of the same rows at each point of a curve of nats per token above a base of 1.3.

    Token counts are log-normal (median 74, sigma 0.7), rows differ in difficulty by 0.5 nats; between
    evaluations a row strays by `spread` nats per token, afresh each time or, with `drift`, from where it was.
    """
    tokens_N = np.ceil(generator.lognormal(np.log(74), 0.7, num_rows)).astype(int)
    own_N = np.maximum(generator.normal(1.3, 0.5, num_rows), 0.2)
    own_N += 1.3 - np.average(own_N, weights=tokens_N)
    scores, strayed_N = [], np.zeros(num_rows)
    for height in curve:
        fresh_N = generator.normal(0.0, spread, num_rows)
        strayed_N = strayed_N + fresh_N if drift else fresh_N
        nll_N = tokens_N * np.maximum(own_N + height + strayed_N, 1e-3)
        scores.append(
            SetScore(
                loss=float(nll_N.sum() / tokens_N.sum()),
                low=None,
                high=None,
                num_examples=num_rows,
                target_tokens=int(tokens_N.sum()),
                nll_sums=tuple(nll_N.tolist()),
                num_tokens=tuple(tokens_N.tolist()),
            )
        )
    return scores


def make_evidence(
    validation: Sequence[float] | None,
    probe: Sequence[float],
    *,
    rows: int = 200,
    seed: int = 0,
    spread: float = 0.06,
    drift: bool = False,
    schedule: str = "constant",
    step_losses: Sequence[float] | None = None,
    **others: Any,
) -> Evidence:
    """A run with an evaluation every ten steps, whose batch losses follow the probe with noise.

    Args:
        validation: Curve of the validation loss, in nats above 1.3; None for no validation split.
        probe: Curve of the train probe.
        rows: Of each set.
        seed: Of everything drawn.
        spread: See `rows_following`.
        drift: See `rows_following`.
        schedule: "constant", or "linear" to 0.
        step_losses: Loss of each step; None follows the probe with log-normal noise of 5 %.
        others: Fields of Evidence.
    """
    generator = np.random.default_rng([seed, 7])
    probes = rows_following(probe, rows, generator, spread=spread, drift=drift)
    validations: list[SetScore | None] = [None] * len(probe)
    if validation is not None:
        validations = [*rows_following(validation, rows, generator, spread=spread, drift=drift)]
    evals = tuple(
        EvalRecord(
            step=STEPS_PER_EVAL * index,
            epoch=0.1 * index,
            full=index == len(probe) - 1,
            precision="float32",
            probe=probes[index],
            validation=validations[index],
            seconds=1.0,
        )
        for index in range(len(probe))
    )
    num_steps = STEPS_PER_EVAL * (len(probe) - 1)
    if step_losses is None:
        heights = 1.3 + np.interp(np.arange(1, num_steps + 1) / STEPS_PER_EVAL, np.arange(len(probe)), probe)
        step_losses = (heights * generator.lognormal(0.0, 0.05, num_steps)).tolist()
    num_steps = len(step_losses)
    steps = [
        StepRecord(
            step=number,
            epoch=number / 100,
            loss=loss,
            target_tokens=1000,
            num_examples=16,
            learning_rate=2e-4 * (1.0 if schedule == "constant" else 1 - number / (num_steps + 1)),
            grad_norm=1.0,
            seconds=1.0,
        )
        for number, loss in enumerate(step_losses, start=1)
    ]
    found: dict[str, Any] = {
        "run": "runs/synthetic",
        "state": "finished",
        "steps": step_points(steps),
        "evals": evals,
        "adapters": {"last": num_steps},
        "config": {"base": {"id": "gpt2"}, "data": "rows.json"},
    }
    return Evidence(**{**found, **others})


def altered(evidence: Evidence, **columns: np.ndarray) -> Evidence:
    """The same evidence with other columns of its training points."""
    return dataclasses.replace(evidence, steps=dataclasses.replace(evidence.steps, **columns))


def records_of(points: TrainPoints) -> list[StepRecord]:
    """Training points as the lines of a step log."""
    return [
        StepRecord(
            step=int(points.step[at]),
            epoch=float(points.epoch[at]),
            loss=None if np.isnan(points.loss[at]) else float(points.loss[at]),
            target_tokens=1000,
            num_examples=16,
            learning_rate=float(points.learning_rate[at]),
            grad_norm=None if np.isnan(points.grad_norm[at]) else float(points.grad_norm[at]),
            seconds=1.0,
        )
        for at in range(len(points))
    ]


def falling(num: int, depth: float = 0.5, pace: float = 3.0) -> list[float]:
    """A curve that falls from 0 towards -depth, by 1 / e every `pace` evaluations."""
    return [-depth * (1 - float(np.exp(-index / pace))) for index in range(num)]


def with_last_changed(evidence: Evidence, change: np.ndarray) -> Evidence:
    """The same run whose last evaluation is worse by so many nats per token, row by row."""
    *earlier, last = evidence.evals
    score = last.validation
    assert score is not None
    nll = np.array(score.nll_sums) + change * np.array(score.num_tokens)
    changed = dataclasses.replace(score, nll_sums=tuple(nll.tolist()))
    return dataclasses.replace(evidence, evals=(*earlier, dataclasses.replace(last, validation=changed)))
