"""What a Trainer computes in its steps, heard where it computes it."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from transformers import Trainer

from lorascope.integrations.batches import num_targets


def calling_trainer() -> Trainer | None:
    """The Trainer that is calling a callback just now; None where none is.

    transformers hands a callback the model, the optimizer and the batches, not the Trainer itself. It alone
    knows the loss that it trains on, because TRL and users compute their own: so callers are looked through.
    """
    frame = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer):
            return caller
        frame = frame.f_back  # type: ignore[assignment]
    return None


class Listener:
    """Hears each loss that a Trainer goes backward from, its target tokens, and the length of the gradient.

    Two methods of this one Trainer are wrapped until `stop`; what they compute is untouched.

    Attributes:
        losses: Of the passes since `begin_step`; their sum is the loss of the step, because the Trainer has
            divided each by the passes of the step or by the targets of all of them.
        targets: Target tokens of these passes.
        norm: Length of the gradient before it was clipped; None where the Trainer has not told.
    """

    def __init__(self, trainer: Trainer) -> None:
        """Listen to a Trainer."""
        self._trainer: Any = trainer
        self._before: dict[str, Any] = {}
        self.begin_step()
        self._wrap("training_step", self._heard_pass)
        self._wrap("_get_grad_norm", self._heard_norm)

    def begin_step(self) -> None:
        """Forget the step before."""
        self.losses: list[float] = []
        self.targets = 0
        self.norm: float | None = None

    def stop(self) -> None:
        """Leave the Trainer as it was."""
        for name, before in self._before.items():
            if before is None:
                delattr(self._trainer, name)
            else:
                setattr(self._trainer, name, before)
        self._before = {}

    def _wrap(self, name: str, heard: Callable[[Any, int], None]) -> None:
        method = getattr(self._trainer, name, None)
        if method is None:  # an older transformers
            return

        @wraps(method)
        def listened(*given: Any, **named: Any) -> Any:
            targets = _targets(named.get("inputs", given[1] if len(given) > 1 else None))
            result = method(*given, **named)
            heard(result, targets)
            return result

        self._before[name] = vars(self._trainer).get(name)
        setattr(self._trainer, name, listened)

    def _heard_pass(self, loss: Any, targets: int) -> None:
        self.losses.append(float(loss.detach().float()))
        self.targets += targets

    def _heard_norm(self, norm: Any, _targets: int) -> None:
        self.norm = None if norm is None else float(norm)


def _targets(inputs: Any) -> int:
    """Target tokens of a batch, counted before the Trainer takes its labels away."""
    labels = inputs.get("labels") if hasattr(inputs, "get") else None
    return 0 if labels is None else num_targets(labels)
