"""Logits of two models at the same positions -> how far apart they are at each.

Shapes: S = positions, V = vocabulary.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lorascope.errors import NumericsError, explain
from lorascope.lm.load import context_length
from lorascope.lm.pair import Pair
from lorascope.lm.target_logits import TargetPass, padded_logits, run_pass
from lorascope.metrics.divergence import (
    centred_l2,
    js_divergence,
    kl_divergence,
    log_softmax,
    top1_agreement,
)
from lorascope.run.dataset import IGNORE, Example

MEASURES = ("kl_base_adapter", "kl_adapter_base", "js", "centred_l2", "top1_agreement")
"""Columns of `Positions.values`, in the order of tables."""

LOGIT_BYTES = 64 * 2**20
"""Most bytes of one array of positions by vocabulary in float32, whatever the model's vocabulary."""

# The metrics make about ten copies; in steps of 4 MiB they stay in the cache, which is twice as fast as whole
# arrays (GPT-2's 50,257 tokens on one core: 13 ms a position against 27).
_STEP_VALUES = 2**19

Side = Callable[[TargetPass], Callable[[int, int], np.ndarray]]
"""A pass -> its positions `start` to `stop` -> their logits, [stop - start, V] float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """How far apart two models are at each position. Shapes: S positions, in no particular order.

    Attributes:
        owner_S: Index of the example each position belongs to.
        place_S: Which target of its example it predicts, 0 for the first.
        values: Measure to its value at each position; of `MEASURES` those that were asked for.
        largest_S: Largest absolute difference of a logit, not centred; 0 where they are equal bit for bit.
        logit_S: Largest absolute logit of the first model: the scale that rounding is relative to.
        first_S2: The token that each of the two models ranks first.
        chance_S2: The probability it gives to it.
        nll_S2: Nats that each of the two models loses on the target token, float64; without a meaning for
            positions of `last_prompt_position`, whose target stands for any token.
    """

    owner_S: np.ndarray
    place_S: np.ndarray
    values: dict[str, np.ndarray]
    largest_S: np.ndarray
    logit_S: np.ndarray
    first_S2: np.ndarray
    chance_S2: np.ndarray
    nll_S2: np.ndarray


def positions_within(logit_bytes: int, vocab_size: int) -> int:
    """Positions whose float32 logits fit into so many bytes, one at least."""
    return max(1, logit_bytes // (4 * vocab_size))


def side_of(pair: Pair, which: Literal["base", "adapter"]) -> Side:
    """Logits of the base model (the adapter switched off) or of the adapter."""

    def run(one: TargetPass) -> Callable[[int, int], np.ndarray]:
        if which == "base":
            with pair.base() as model:
                found = run_pass(model, one, pad_id=pair.pad_id)
        else:
            found = run_pass(pair.model, one, pad_id=pair.pad_id)
        return lambda start, stop: _finite(found(start, stop), pair, which, one, start)

    return run


def base_again(pair: Pair) -> Side:
    """The base's logits by the plain path, each example alone and padded on its left.

    Another order of the same sums: what it differs by is what rounding can make.
    """
    longest = context_length(pair.model.config)

    @torch.no_grad()
    def logits(examples: Sequence[Example]) -> torch.Tensor:
        with pair.base() as model:
            rows = [[one, _longer(one, longest)] for one in examples]
            found = [padded_logits(model, row, pad_id=pair.pad_id, side="left") for row in rows]
        return torch.cat(found)

    def run(one: TargetPass) -> Callable[[int, int], np.ndarray]:
        return lambda start, stop: _finite(logits(one.part(start, stop)), pair, "base", one, start)

    return run


def _longer(example: Example, longest: int | None) -> Example:
    """A row without targets, 8 tokens longer where the context allows: the other one is padded to it."""
    ids = np.resize(example.input_ids, min(example.num_tokens + 8, longest or example.num_tokens + 8))
    return Example(example_id="padding", input_ids=ids, labels=np.full(len(ids), IGNORE))


def _finite(found: torch.Tensor, pair: Pair, which: str, one: TargetPass, start: int) -> np.ndarray:
    logit_SV: np.ndarray = found.float().cpu().numpy()
    name = one.examples[one.example_S[start]].example_id
    if not np.isfinite(logit_SV).all():
        raise NumericsError(
            explain(
                f"logits of the {which} are not finite",
                where=f"{name} or its neighbours; forward pass in {pair.precision.name}",
                why="no divergence has a value there",
                fix="use eval.precision: float32"
                if pair.precision.name != "float32"
                else "check the model's weights: lorascope doctor",
            )
        )
    return logit_SV


def compare_positions(
    a: Side,
    b: Side,
    passes: Sequence[TargetPass],
    *,
    most: int,
    measures: Sequence[str] = MEASURES,
    advance: Callable[[int], None] = lambda done: None,
) -> Positions:
    """Measure two models at every position of some passes.

    Args:
        a: The one that comes first in KL(a || b): the base.
        b: The other.
        passes: What both read, teacher-forced.
        most: Positions whose logits exist at a time, see `positions_within`; it never changes the result but
            for rounding.
        measures: Which to take; `js` alone is two fifths of the work.
        advance: Told how many examples were just done.

    Returns:
        One entry per target position.
    """
    left = np.bincount(np.concatenate([[0], *(one.example_S for one in passes)]).astype(np.int64))
    left[0] -= 1  # the one that stands there lest there be none
    found: list[Positions] = []
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for one in passes:
            a_logits, b_logits = a(one), b(one)
            for start in range(0, len(one.example_S), most):
                stop = min(start + most, len(one.example_S))
                both_SV = a_logits(start, stop), b_logits(start, stop)
                found.append(_measure(*both_SV, one, start, pool, measures))
                done = np.bincount(one.example_S[start:stop], minlength=len(left))
                left -= done
                advance(int(((left == 0) & (done > 0)).sum()))
    return _concatenated(found, measures)


def last_prompt_position(prompt_ids: Sequence[int], prompt_id: str, pad_id: int) -> Example:
    """An example whose only target follows the prompt: its position predicts the first answer token.

    Which token stands there is never read off: attention is causal, and only logits before it are taken.
    """
    ids = np.array([*prompt_ids, pad_id])
    labels = np.full(len(ids), IGNORE)
    labels[-1] = pad_id
    return Example(example_id=prompt_id, input_ids=ids, labels=labels)


def _measure(
    a_SV: np.ndarray,
    b_SV: np.ndarray,
    one: TargetPass,
    start: int,
    pool: ThreadPoolExecutor,
    measures: Sequence[str],
) -> Positions:
    step = max(1, _STEP_VALUES // a_SV.shape[1])
    target_S = one.target_S[start : start + len(a_SV)]

    def measured(first: int) -> dict[str, np.ndarray]:
        some = slice(first, first + step)
        return _measure_step(a_SV[some], b_SV[some], target_S[some], measures)

    parts = list(pool.map(measured, range(0, len(a_SV), step)))
    return Positions(
        owner_S=one.example_S[start : start + len(a_SV)],
        place_S=one.place_S[start : start + len(a_SV)],
        values={name: np.concatenate([part[name] for part in parts]) for name in measures},
        largest_S=np.concatenate([part["largest"] for part in parts]),
        logit_S=np.concatenate([part["logit"] for part in parts]),
        first_S2=np.concatenate([part["first"] for part in parts]),
        chance_S2=np.concatenate([part["chance"] for part in parts]),
        nll_S2=np.concatenate([part["nll"] for part in parts]),
    )


def _measure_step(
    a_SV: np.ndarray, b_SV: np.ndarray, target_S: np.ndarray, measures: Sequence[str]
) -> dict[str, np.ndarray]:
    """The measures at a few positions, in float64.

    It costs no more time than float32, whose rounded log-probabilities alone make a KL of 4e-9 nats between
    models that agree to 1e-7.
    """
    a_SV, b_SV = a_SV.astype(np.float64), b_SV.astype(np.float64)
    logp_SV, logq_SV = log_softmax(a_SV), log_softmax(b_SV)
    first_S2 = np.stack([a_SV.argmax(axis=1), b_SV.argmax(axis=1)], axis=1)
    both = (logp_SV, logq_SV)
    best_S2 = np.stack([_of_tokens(log_SV, first_S2[:, i]) for i, log_SV in enumerate(both)], axis=1)
    told_S2 = np.stack([_of_tokens(log_SV, target_S) for log_SV in both], axis=1)
    known: dict[str, Callable[[], np.ndarray]] = {
        "kl_base_adapter": lambda: kl_divergence(logp_SV, logq_SV),
        "kl_adapter_base": lambda: kl_divergence(logq_SV, logp_SV),
        "js": lambda: js_divergence(logp_SV, logq_SV),
        "centred_l2": lambda: centred_l2(a_SV, b_SV),
        "top1_agreement": lambda: top1_agreement(a_SV, b_SV).astype(np.float64),
    }
    return {
        **{name: known[name]() for name in measures},
        "largest": np.abs(a_SV - b_SV).max(axis=1),
        "logit": np.abs(a_SV).max(axis=1),
        "first": first_S2,
        "chance": np.exp(best_S2),
        "nll": -told_S2,
    }


def _of_tokens(log_SV: np.ndarray, id_S: np.ndarray) -> np.ndarray:
    return np.take_along_axis(log_SV, id_S[:, None], axis=1)[:, 0]


def _concatenated(found: Sequence[Positions], measures: Sequence[str]) -> Positions:
    if not found:
        empty = np.zeros(0)
        whole, pairs = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
        return Positions(
            owner_S=whole,
            place_S=whole,
            values=dict.fromkeys(measures, empty),
            largest_S=empty,
            logit_S=empty,
            first_S2=pairs,
            chance_S2=pairs.astype(np.float64),
            nll_S2=pairs.astype(np.float64),
        )
    return Positions(
        owner_S=np.concatenate([one.owner_S for one in found]),
        place_S=np.concatenate([one.place_S for one in found]),
        values={name: np.concatenate([one.values[name] for one in found]) for name in measures},
        largest_S=np.concatenate([one.largest_S for one in found]),
        logit_S=np.concatenate([one.logit_S for one in found]),
        first_S2=np.concatenate([one.first_S2 for one in found]),
        chance_S2=np.concatenate([one.chance_S2 for one in found]),
        nll_S2=np.concatenate([one.nll_S2 for one in found]),
    )
