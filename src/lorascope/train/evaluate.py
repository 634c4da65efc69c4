"""Evaluations during training: the train probe and the validation split, same code, same mode."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lorascope.errors import NumericsError, UndefinedMetric, explain
from lorascope.lm.passes import Route
from lorascope.lm.score import score_examples
from lorascope.metrics.likelihood import mean_nll
from lorascope.metrics.uncertainty import ratio_interval
from lorascope.run.dataset import Example
from lorascope.run.records import EvalRecord, SetScore
from lorascope.train.ranks import Ranks
from lorascope.train.signals import Interrupted, StopRequest

_LEAST, _MOST, _SHARE = 5, 20, 0.10
# A forward pass costs about half a LoRA step: 2N of 4N FLOP per token, since frozen weights get no gradient.
_FORWARD_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSets:
    """What is evaluated, in a fixed order.

    Attributes:
        probe: Training examples, drawn at random, as many as validation has.
        validation: The whole validation split, in a random order; empty where there is none.
        first: How many of each an evaluation during training scores.
        sources: The data source of each example by id; empty where the run has one.
    """

    probe: tuple[Example, ...]
    validation: tuple[Example, ...]
    first: int
    sources: Mapping[str, str] = field(default_factory=dict)


def draw_eval_sets(
    train: Sequence[Example], validation: Sequence[Example], *, first: int, seed: int
) -> EvalSets:
    """Draw the train probe and fix the order of both sets.

    Args:
        train: The training split.
        validation: The validation split, may be empty.
        first: Examples of each set to score during training.
        seed: Of the draw.
    """
    size = min(len(train), len(validation) or first)
    generator = np.random.default_rng([seed, 1])
    probe = tuple(train[i] for i in generator.permutation(len(train))[:size])
    order = generator.permutation(len(validation))
    return EvalSets(probe=probe, validation=tuple(validation[i] for i in order), first=first)


def example_ids(sets: EvalSets) -> dict[str, list[str]]:
    """Ids of both sets in the order of their losses, as in train/eval_sets.json."""
    return {
        "probe": [one.example_id for one in sets.probe],
        "validation": [one.example_id for one in sets.validation],
    }


def resolve_eval_steps(asked: str | int, *, num_steps: int, sets: EvalSets, train_tokens: int) -> int:
    """Say how many steps lie between evaluations.

    "auto" is about 20 evaluations, fewer where scoring them and the base model would pass 10 % of training
    time by tokens (a forward pass is at most half a LoRA step), never fewer than 5 where there are 5 steps.
    What the last one scores beyond the first examples of each set is not counted.

    Args:
        asked: "auto" or a number.
        num_steps: Steps in all.
        sets: What an evaluation scores.
        train_tokens: Tokens trained on in all steps.
    """
    if asked != "auto":
        return int(asked)
    scored = [*sets.probe[: sets.first], *sets.validation[: sets.first]]
    cost = _FORWARD_SHARE * sum(example.num_tokens for example in scored)
    affordable = int(_SHARE * train_tokens / max(cost, 1)) - 1  # the base model is scored too
    wanted = math.ceil(num_steps / max(_LEAST, min(_MOST, affordable)))
    while wanted > 1 and math.ceil(num_steps / wanted) < _LEAST:
        wanted -= 1  # rounding up alone would make 3 evaluations of 6 steps
    return wanted


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
        sets: From `draw_eval_sets`.
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


def comparable_loss(score: SetScore, first: int) -> float:
    """Loss over the first examples of a set: what every evaluation of a run has in common."""
    return mean_nll(np.array(score.nll_sums[:first]), np.array(score.num_tokens[:first]))
