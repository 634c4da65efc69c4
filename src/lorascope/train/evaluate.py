"""Evaluations during training: the train probe and the validation split, same code, same mode."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lorascope.errors import NumericsError, UndefinedMetric, explain
from lorascope.lm.passes import Route
from lorascope.lm.score import score_examples
from lorascope.metrics.likelihood import mean_nll
from lorascope.metrics.uncertainty import ratio_interval
from lorascope.run.dataset import Example
from lorascope.run.records import EvalRecord, SetScore
from lorascope.train.eval_plan import EvalSets
from lorascope.train.ranks import Ranks
from lorascope.train.signals import Interrupted, StopRequest


def evaluate(
    model: Any,
    sets: EvalSets,
    *,
    step: int,
    epoch: float,
    full: bool,
    precision: str,
    pad_id: int,
    row_tokens: int,
    ranks: Ranks,
    request: StopRequest | None = None,
    route: Route = "auto",
) -> EvalRecord:
    """Score both sets.

    Args:
        model: As it is now; its mode is restored.
        sets: From `plan_evaluations`.
        step: Optimizer steps done.
        epoch: Passes over the data.
        full: Score all of both sets, not the first few.
        precision: Name of the forward pass's number format.
        pad_id: To pad with.
        row_tokens: Token budget of a forward pass.
        ranks: The processes to share the work with.
        request: Looked at after each forward pass.
        route: "padded" for the plain path, as in the training's own steps.

    Raises:
        NumericsError: A loss is not finite.
        Interrupted: A signal came to one of the processes.
    """
    request = request or StopRequest()
    started = time.monotonic()
    scores: list[SetScore | None] = []
    for name, examples in (("train probe", sets.probe), ("validation", sets.validation)):
        chosen = examples if full else examples[: sets.first]
        if not chosen:
            scores.append(None)
            continue
        with contextlib.suppress(_Asked):  # the others must learn of it before this one leaves
            own = score_examples(
                model,
                ranks.mine(chosen),
                pad_id=pad_id,
                row_tokens=row_tokens,
                route=route,
                advance=_looking(request),
            )
        signal = ranks.largest(request.number or 0)
        if signal:
            raise Interrupted(signal, step)
        pairs = ranks.gather(list(zip(own.nll_sum_N.tolist(), own.num_tokens_N.tolist(), strict=True)))
        score = _set_score(pairs, name=name, step=step)
        scores.append(replace(score, by_source=_by_source(score, chosen, sets.sources)))
    probe, validation = scores
    assert probe is not None, "a training split is never empty"
    return EvalRecord(
        step=step,
        epoch=epoch,
        full=full,
        precision=precision,
        probe=probe,
        validation=validation,
        seconds=round(time.monotonic() - started, 3),
        vocabulary_size=model.config.get_text_config().vocab_size,
    )


class _Asked(Exception):
    """A signal came to this process during an evaluation."""


def _looking(request: StopRequest) -> Callable[[int], None]:
    """What to call after each forward pass: it ends the scoring once a signal has come."""

    def look(_done: int) -> None:
        if request.number is not None:
            raise _Asked

    return look


def _set_score(pairs: Sequence[tuple[float, int]], *, name: str, step: int) -> SetScore:
    nll, tokens = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    if not np.isfinite(nll).all():
        raise NumericsError(
            explain(
                f"the {name} loss is not finite",
                where=f"evaluation after step {step}",
                why="the model answers with NaN or infinity, so no further step can be trusted",
                fix="lower train.learning_rate, or set train.precision: float32",
            )
        )
    low: float | None = None
    high: float | None = None
    with contextlib.suppress(UndefinedMetric):  # a single example has no interval
        interval = ratio_interval(nll, tokens)
        low, high = interval.low, interval.high
    return SetScore(
        loss=mean_nll(nll, tokens),
        low=low,
        high=high,
        num_examples=len(pairs),
        target_tokens=int(tokens.sum()),
        nll_sums=tuple(nll.tolist()),
        num_tokens=tuple(int(t) for t in tokens),
    )


def _by_source(
    score: SetScore, examples: Sequence[Example], sources: Mapping[str, str]
) -> dict[str, float] | None:
    """Loss of each source's examples; None where there is one source. One without targets is left out."""
    names = np.array([sources.get(example.example_id or "", "") for example in examples])
    if not sources:
        return None
    nll, tokens = np.array(score.nll_sums), np.array(score.num_tokens)
    own = {name: names == name for name in sorted(set(sources.values()))}
    return {name: mean_nll(nll[mine], tokens[mine]) for name, mine in own.items() if tokens[mine].any()}
