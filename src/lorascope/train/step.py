"""One optimizer step: examples -> a gradient that does not depend on how they were laid out -> an update."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lorascope.engine.memory import is_out_of_memory
from lorascope.errors import NumericsError, explain
from lorascope.lm.batches import shorter_rows
from lorascope.lm.passes import passes
from lorascope.lm.recompute import recompute_activations
from lorascope.run.dataset import Example
from lorascope.train.trainee import Trainee


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step came to.

    Attributes:
        loss: Nats per target token over all of its examples.
        target_tokens: Tokens it is the mean of.
        grad_norm: Length of the gradient before clipping; None when fp16 overflowed and the step was skipped.
        why: Why `grad_norm` is None.
        retries: What was changed before each further try, where memory ran out; this rank's own.
    """

    loss: float
    target_tokens: int
    grad_norm: float | None
    why: str | None = None
    retries: tuple[str, ...] = ()


def optimizer_step(trainee: Trainee, examples: Sequence[Example], *, rate: float, seed: int) -> StepResult:
    """Do one optimizer step.

        loss = sum over all target tokens of all examples of nll / number of those tokens

    The number is known before the first pass, so each pass backpropagates its own sum over it: how examples
    are grouped into passes or dealt to ranks changes nothing but rounding. So where memory runs out the same
    step is tried again in shorter rows.

    Args:
        trainee: What to train.
        examples: The step's examples, the same on every rank.
        rate: The learning rate.
        seed: Of the step's dropout, so that a resumed run draws the same.

    Raises:
        NumericsError: A loss or the gradient is not finite. The optimizer has not been touched.
    """
    target_tokens = sum(example.num_target_tokens for example in examples)
    trainee.optimizer.zero_grad(set_to_none=True)
    for group in trainee.optimizer.param_groups:
        group["lr"] = rate
    nll_sum, retries = _backward(trainee, trainee.ranks.mine(examples), target_tokens, seed)
    for parameter in trainee.parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    trainee.ranks.sum_(parameter.grad for parameter in trainee.parameters if parameter.grad is not None)
    trainee.scaler.unscale_(trainee.optimizer)
    norm = float(torch.nn.utils.clip_grad_norm_(trainee.parameters, trainee.max_grad_norm or math.inf))
    overflowed = not math.isfinite(norm)
    if overflowed and not trainee.scaler.is_enabled():
        raise _not_finite("the gradient", [example.example_id for example in examples])
    trainee.scaler.step(trainee.optimizer)  # skips by itself on an fp16 overflow
    trainee.scaler.update()
    return StepResult(
        loss=nll_sum / target_tokens,
        target_tokens=target_tokens,
        grad_norm=None if overflowed else norm,
        why="fp16 overflow: step skipped, loss scale lowered" if overflowed else None,
        retries=retries,
    )


def _backward(
    trainee: Trainee, examples: Sequence[Example], target_tokens: int, seed: int
) -> tuple[float, tuple[str, ...]]:
    """Accumulate the gradient of this rank's examples; the summed nats of all ranks, and its own retries."""
    retries: list[str] = []
    while True:
        torch.manual_seed(seed * trainee.ranks.world + trainee.ranks.rank)
        try:
            total, suspects = _own_backward(trainee, examples, target_tokens)
            break
        except (MemoryError, RuntimeError) as error:
            changed = _take_less(trainee, examples) if is_out_of_memory(error) else None
            if changed is None:
                raise
            retries.append(changed)
        trainee.optimizer.zero_grad(set_to_none=True)  # no longer in the handler, which holds the pass
        if trainee.parameters[0].is_cuda:
            torch.cuda.empty_cache()
    trainee.ranks.sum_([total])
    if not torch.isfinite(total):  # on every process, also where its own rows were fine
        raise _not_finite("the loss", trainee.ranks.collect(suspects))
    return float(total), tuple(retries)


def _own_backward(
    trainee: Trainee, examples: Sequence[Example], target_tokens: int
) -> tuple[torch.Tensor, list[str]]:
    """The same for this rank alone; with the ids of a pass whose loss is not finite, after which it stops."""
    device = trainee.parameters[0].device
    total = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    for losses in passes(
        trainee.model,
        examples,
        pad_id=trainee.pad_id,
        row_tokens=trainee.row_tokens,
        route=trainee.route,
        share=trainee.share,
    ):
        nll_sum = losses.nll_S.sum()
        total += losses.nll_S.detach().to(total.dtype).sum()
        if not torch.isfinite(nll_sum):
            return total, [examples[place].example_id for place in losses.examples]
        trainee.scaler.scale(nll_sum / target_tokens).backward()  # type: ignore[no-untyped-call]
    return total, []


def _take_less(trainee: Trainee, examples: Sequence[Example]) -> str | None:
    """Let the next try take less memory; say how, or None where nothing is left to change."""
    shorter = shorter_rows(trainee.row_tokens, examples)
    if shorter is not None:
        trainee.row_tokens = shorter
        return f"rows of {shorter:,} tokens"
    if trainee.recompute is None:
        recompute_activations(trainee.model)
        trainee.recompute = True
        return "activations computed again in the backward pass"
    return None


class NonFiniteStep(NumericsError):
    """A step that must not be taken, with the examples that were in it."""

    def __init__(self, message: str, example_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.example_ids = list(example_ids)


def _not_finite(what: str, ids: Sequence[str]) -> NonFiniteStep:
    shown = ", ".join(ids[:4]) + (f", ... ({len(ids) - 4} more)" if len(ids) > 4 else "")
    message = explain(
        f"{what} is not finite",
        where=f"examples {shown}",
        why="an update with NaN or infinity would destroy the adapter; training stopped before it",
        fix="look at these examples; lower train.learning_rate, or set train.precision: float32",
    )
    return NonFiniteStep(message, ids)
