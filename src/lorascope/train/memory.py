"""Memory: what a training will need, what is done where it is too much, and too little told as what it is."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lorascope.engine.memory import (
    available_memory,
    bytes_in_words,
    is_out_of_memory,
    kept_for_backward,
)
from lorascope.errors import RunError, explain
from lorascope.lm.passes import Route, passes
from lorascope.run.dataset import Example
from lorascope.run.folder import RunFolder

ROW_TOKENS = {"cpu": 1024, "cuda": 16384, "mps": 4096}
"""Rows beyond which products of matrices no longer get faster. On two cores a step of GPT-2 small with rows
of 1,024 tokens takes 0.95 of the time, and 1.9 of the 3.5 GB, that it takes with rows of 4,096."""
_LEAST_ROW = 512
"""Rows below which products get clearly slower; activations are computed twice before."""
_PROBED = 384
_SURPLUS = 1.3
"""Most memory that a pass takes, over what it keeps for its backward pass. Measured on GPT-2 small with rows
of 512 to 4,096 tokens: 1.07 by torch's own count, 1.08 to 1.25 by the process's."""
_SAFE = 0.9
"""Share of the memory left that is planned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What a training will take beside its base model.

    Attributes:
        row_tokens: Tokens of a pass.
        recompute: Whether activations are computed again in the backward pass.
        kept_per_token: Bytes a token keeps until the backward pass, without recomputing.
        activation_bytes: Most that a pass will take.
        optimizer_bytes: The adapter's gradients and its optimizer's moments.
        available_bytes: What was left when the model was loaded; None where nobody knows.
        told: What had to be done, in words; empty where nothing.
    """

    row_tokens: int
    recompute: bool
    kept_per_token: int
    activation_bytes: int
    optimizer_bytes: int
    available_bytes: int | None
    told: str


def kept_per_token(
    model: Any, examples: Sequence[Example], *, pad_id: int, route: Route, share: bool
) -> float:
    """Bytes that a token of a training pass keeps until the backward pass, measured on a few examples.

    Args:
        model: In training mode.
        examples: The training split; its longest that fit together are run forward.
        pad_id: To pad with.
        route: How the training runs them.
        share: Whether prefixes are shared.
    """
    few: list[Example] = []
    for example in sorted(examples, key=lambda one: -one.num_tokens):
        if not few or sum(one.num_tokens for one in few) + example.num_tokens <= _PROBED:
            few.append(example)
        if len(few) == 8:
            break
    before = torch.get_rng_state()
    with kept_for_backward(model.parameters()) as kept:
        losses = list(passes(model, few, pad_id=pad_id, row_tokens=2**31, route=route, share=share))
    torch.set_rng_state(before)
    return kept.total / sum(one.num_tokens for one in losses)


def plan_memory(
    *,
    kept: float,
    num_layers: int,
    longest: int,
    step_tokens: int,
    optimizer_bytes: int,
    available: int | None,
    row_tokens: int | None,
    recompute: bool | None,
    device: str,
) -> MemoryPlan:
    """Choose the longest rows that fit, and computing activations twice only where the shortest do not.

        need(rows) = 1.3 * kept * rows                       without recomputing
        need(rows) = 1.3 * kept * 2 / num_layers * rows      with it: layers' inputs, and one layer at a time

    Args:
        kept: From `kept_per_token`.
        num_layers: Layers of the model.
        longest: Tokens of the longest example: no row can be shorter.
        step_tokens: Tokens of the largest step: no row can be longer.
        optimizer_bytes: Of gradients and moments.
        available: Bytes left after the model was loaded; None where nobody knows.
        row_tokens: As asked for; None chooses.
        recompute: As asked for; None chooses.
        device: Type of the device.
    """

    def need(rows: int, again: bool) -> int:
        return int(_SURPLUS * kept * min(rows, step_tokens) * (2 / num_layers if again else 1))

    most = ROW_TOKENS.get(device, 4096) if row_tokens is None else row_tokens
    least = most if row_tokens is not None else max(min(longest, most), min(_LEAST_ROW, most))
    room = None if available is None else int(_SAFE * available) - optimizer_bytes
    chosen, again = most, bool(recompute)
    if room is not None:
        chosen = _longest_that_fits(most, least, room, lambda rows: need(rows, again))
        if need(max(chosen, longest), again) > room and recompute is None:
            again = True
            chosen = _longest_that_fits(most, least, room, lambda rows: need(rows, again))
    taken = max(chosen, longest)
    told = [f"rows of {chosen:,} tokens in place of {most:,}"] if chosen < most else []
    told += ["activations computed again in the backward pass"] if again and recompute is None else []
    why = f" for the {bytes_in_words(available or 0)} left" if told else ""
    return MemoryPlan(
        row_tokens=chosen,
        recompute=again,
        kept_per_token=round(kept),
        activation_bytes=need(taken, again),
        optimizer_bytes=optimizer_bytes,
        available_bytes=available,
        told=" and ".join(told) + why,
    )


def _longest_that_fits(most: int, least: int, room: int, need: Callable[[int], int]) -> int:
    rows = most
    while rows > least and need(rows) > room:
        rows = max(least, rows // 2)
    return rows


def memory_left(device: torch.device) -> int | None:
    """This process's share of the memory left on its device."""
    left = available_memory(device)
    if left is None or device.type == "cuda":
        return left
    return left // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@contextlib.contextmanager
def out_of_memory_told(run: RunFolder) -> Iterator[None]:
    """Turn the many errors that mean "no memory left" into one that says what to do.

    Raises:
        RunError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            explain(
                "the memory of this machine is not enough for this training",
                where=str(run.path),
                why=str(error).splitlines()[0][:120] if str(error) else "the system refused more memory",
                fix="a smaller train.row_tokens or lora.rank, train.checkpoint_activations, another base",
            )
        ) from error
