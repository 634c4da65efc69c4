"""What an update left behind: weights and moments -> whether a further step may be taken from them."""

import math
from collections.abc import Iterator, Sequence

import torch

from lorascope.errors import explain
from lorascope.run.dataset import Example
from lorascope.train.step import NonFiniteStep
from lorascope.train.trainee import Trainee


def refuse_broken_update(trainee: Trainee, examples: Sequence[Example]) -> None:
    """Insist that every weight and every moment is finite after an update.

    The next loss would show a broken weight one step late, and a broken second moment never: the weight that
    it belongs to stands still from then on.

    Args:
        trainee: After its update.
        examples: Those of the step.

    Raises:
        NonFiniteStep: One is not. The state before the step is gone: what was committed is what there is.
    """
    tensors = list(_floats(trainee))
    # The largest absolute value, not a sum of squares, which overflows from 1e19 on.
    if math.isfinite(float(torch.nn.utils.get_total_norm(tensors, math.inf))):
        return
    ids = [example.example_id for example in examples]
    raise NonFiniteStep(
        explain(
            "a weight or a moment of the optimizer is not finite after the update",
            where=f"examples {', '.join(ids[:4])}" + (f", ... ({len(ids) - 4} more)" if len(ids) > 4 else ""),
            why="each further step would spread it; training stopped, and nothing of this step is saved",
            fix="--resume goes back to the newest checkpoint; lower train.learning_rate if it happens again",
        ),
        ids,
    )


def _floats(trainee: Trainee) -> Iterator[torch.Tensor]:
    for parameter in trainee.parameters:
        yield parameter.detach()
        for value in trainee.optimizer.state[parameter].values():
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim():
                yield value
