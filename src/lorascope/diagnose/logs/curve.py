"""What a log of any trainer says, in one form. Shapes: P training points, E evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPoints:
    """What was logged while training, in the order of the file; nothing is smoothed.

    NaN means that a point says nothing; a value that was said and is not finite has its own flag.

    Attributes:
        step: Of each point, [P]; optimizer steps as far as the log tells them, else see `step_is_row`.
        epoch: Epochs done, fractional, [P].
        loss: As logged, mostly nats per token and mostly a mean since the point before, [P].
        loss_not_finite: Whether a NaN or an infinity was logged for the loss, [P], bool.
        learning_rate: [P].
        grad_norm: Norm of the gradient, mostly before clipping, [P].
        grad_norm_not_finite: Whether a NaN or an infinity was logged for it, [P], bool.
        num_tokens: Tokens seen since the start, [P].
    """

    step: np.ndarray
    epoch: np.ndarray
    loss: np.ndarray
    loss_not_finite: np.ndarray
    learning_rate: np.ndarray
    grad_norm: np.ndarray
    grad_norm_not_finite: np.ndarray
    num_tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    def where(self, chosen: np.ndarray) -> "TrainPoints":
        """Some of the points, by index or by a flag for each."""
        return TrainPoints(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})


_NONE = np.empty(0)
_NO_FLAG = np.empty(0, dtype=bool)
NO_POINTS = TrainPoints(
    step=_NONE,
    epoch=_NONE,
    loss=_NONE,
    loss_not_finite=_NO_FLAG,
    learning_rate=_NONE,
    grad_norm=_NONE,
    grad_norm_not_finite=_NO_FLAG,
    num_tokens=_NONE,
)
"""A training that has logged nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPoints:
    """What was logged by evaluations, in the order of the file. NaN means that one says nothing.

    Attributes:
        step: Of each evaluation, [E].
        epoch: [E].
        loss: Evaluation loss as logged, [E]; NaN for an evaluation that measured something else only.
        loss_not_finite: Whether a NaN or an infinity was logged for the loss, [E], bool.
        metrics: Every other number by its name without "eval_", such as "accuracy" or "rougeL", each [E].
            "train_loss" is the loss of training rows measured by the evaluation itself.
    """

    step: np.ndarray
    epoch: np.ndarray
    loss: np.ndarray
    loss_not_finite: np.ndarray
    metrics: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.step)

    def where(self, chosen: np.ndarray) -> "EvalPoints":
        """Some of the evaluations, by index or by a flag for each."""
        return EvalPoints(
            step=self.step[chosen],
            epoch=self.epoch[chosen],
            loss=self.loss[chosen],
            loss_not_finite=self.loss_not_finite[chosen],
            metrics={name: values[chosen] for name, values in self.metrics.items()},
        )

    def joined(self) -> "EvalPoints":
        """The same, with neighbours of one step made one where no number of theirs stands twice.

        An evaluation of several sets is logged set by set.
        """
        begins = np.ones(len(self), dtype=bool)
        begins[1:] = np.diff(self.step) != 0
        if begins.all():
            return self
        columns = [self.loss, *self.metrics.values()]
        known = np.stack([np.isfinite(one) for one in columns])
        known[0, self.loss_not_finite] = True
        sums = np.add.reduceat(known.astype(int), np.flatnonzero(begins), axis=1)
        twice = np.asarray((sums > 1).any(axis=0))
        starts = np.flatnonzero(begins | twice[np.cumsum(begins) - 1])
        told = [np.fmax.reduceat(one, starts) for one in columns]  # the one that is no NaN
        return EvalPoints(
            step=self.step[starts],
            epoch=np.fmax.reduceat(self.epoch, starts),
            loss=told[0],
            loss_not_finite=np.logical_or.reduceat(self.loss_not_finite, starts),
            metrics=dict(zip(self.metrics, told[1:], strict=True)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a log says about its run beside the curves; None where it does not.

    transformers writes its default of 500 for `eval_steps` and `save_steps` also where nothing is evaluated.

    Attributes:
        max_steps: Optimizer steps that were planned.
        num_epochs: Epochs that were planned.
        logging_steps: Steps between two training points.
        eval_steps: Steps between two evaluations.
        save_steps: Steps between two checkpoints.
        best_step: Step of the checkpoint that the trainer held to be the best.
    """

    max_steps: int | None = None
    num_epochs: float | None = None
    logging_steps: int | None = None
    eval_steps: int | None = None
    save_steps: int | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """A run as its log shows it.

    Attributes:
        format: What was recognised, as in "trainer_state.json of transformers".
        path: The file that was read, or the folder of several.
        train: The training points; there may be none.
        evals: The evaluations; there may be none.
        columns: Our name of each quantity -> the name it has in the file. Guessed, unless given; to be shown.
        facts: What was planned.
        step_is_row: The log has no step numbers, and `step` counts its points from 1, training and evaluation
            alike: good for the order of points, not for a number of optimizer steps.
        restarts: Index of each training point whose step is lower than the one before: training was resumed
            from a checkpoint, or the file holds several runs.
        rewards: Names of the rewards that are logged, see `is_rl`.
        is_negative: Losses below 0 are logged: no likelihood of tokens is.
        is_preference: Chosen and rejected answers are logged: the loss starts at ln 2, not at a likelihood
            of tokens.
        problems: Everything noteworthy about the reading, a sentence each.
    """

    format: str
    path: Path
    train: TrainPoints
    evals: EvalPoints
    columns: Mapping[str, str]
    facts: Facts = field(default_factory=Facts)
    step_is_row: bool = False
    restarts: tuple[int, ...] = ()
    rewards: tuple[str, ...] = ()
    is_negative: bool = False
    is_preference: bool = False
    problems: tuple[str, ...] = ()

    @property
    def is_rl(self) -> bool:
        """Rewards are logged: the loss of such a training is no likelihood, and 0 is an ordinary value."""
        return bool(self.rewards)

    @property
    def step_word(self) -> str:
        """What `step` counts, in messages."""
        return "row" if self.step_is_row else "step"

    def with_points(self, train: TrainPoints, evals: EvalPoints) -> "LoggedRun":
        """The same run with other curves."""
        return replace(self, train=train, evals=evals)

    @property
    def num_points(self) -> int:
        """Training points and evaluations together."""
        return len(self.train) + len(self.evals)

    @property
    def last_step(self) -> float:
        """The highest step of any point, 0 where there is none."""
        steps = np.concatenate([self.train.step, self.evals.step, [0.0]])
        return float(np.nanmax(steps))
