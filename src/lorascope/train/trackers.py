"""What training logs, sent to experiment trackers through accelerate, beside the run's own files."""

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

from lorascope.errors import ConfigError, explain
from lorascope.run.folder import RunFolder
from lorascope.run.progress import Judgement
from lorascope.run.records import EvalRecord, SetScore, StepRecord
from lorascope.train.samples import SampleRecord

_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}


class Trackers:
    """The trackers of one training, on the process that writes."""

    def __init__(self, names: Sequence[str], run: RunFolder, config: dict[str, Any]) -> None:
        """Open the trackers.

        Args:
            names: Of `train.trackers`.
            run: TensorBoard's files go to RUN/train/tensorboard, W&B's to RUN/train/wandb, its project is the
                run's name.
            config: The resolved recipe, stored where a tracker keeps such.

        Raises:
            ConfigError: A tracker is not installed.
        """
        self._open: list[Any] = []
        if not names:
            return
        refuse_missing(names)
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, WandBTracker

        PartialState()  # accelerate's trackers ask it which process writes
        folder = run.stage("train")
        for name in names:
            tracker: Any
            if name == "tensorboard":
                tracker = TensorBoardTracker("tensorboard", logging_dir=str(folder))
            else:
                tracker = WandBTracker(run.name, dir=str(folder), config=config)
            self._open.append(_started(tracker, name))

    def step(self, record: StepRecord) -> None:
        """Send a step: what is not a number is left out, its reason stands in the step log."""
        numbers = {
            "train/loss": record.loss,
            "train/perplexity": _perplexity(record.loss),
            "train/learning_rate": record.learning_rate,
            "train/grad_norm": record.grad_norm,
            "train/epoch": record.epoch,
            "train/target_tokens_per_s": record.target_tokens / record.seconds if record.seconds else None,
        }
        self._send(numbers, record.step)

    def evaluation(self, record: EvalRecord) -> None:
        """Send an evaluation: loss and perplexity of both sets, side by side."""
        numbers: dict[str, float | None] = {}
        for name, score in (("probe", record.probe), ("validation", record.validation)):
            if isinstance(score, SetScore):
                numbers[f"{name}/loss"] = score.loss
                numbers[f"{name}/perplexity"] = _perplexity(score.loss)
        self._send(numbers, record.step)

    def judgement(self, found: Judgement, step: int) -> None:
        """Send the verdict."""
        self._send({"verdict": f"{found.verdict}: {found.reason}"}, step)

    def samples(self, records: Sequence[SampleRecord], step: int) -> None:
        """Send the answers to the fixed prompts."""
        self._send(
            {f"sample/{number}": f"{one.prompt}\n\n{one.text}" for number, one in enumerate(records)}, step
        )

    def close(self) -> None:
        """Write out what is still held back."""
        for tracker in self._open:
            tracker.finish()
        self._open = []

    def _send(self, values: dict[str, Any], step: int) -> None:
        told = {name: value for name, value in values.items() if value is not None}
        for tracker in self._open:
            tracker.log(told, step=step)


def _started(tracker: Any, name: str) -> Any:
    """Open a tracker.

    Raises:
        ConfigError: It does not open, as W&B without a key.
    """
    try:
        if hasattr(tracker, "start"):
            tracker.start()
    except Exception as error:  # each tracker has errors of its own
        raise ConfigError(
            explain(
                f"train.trackers: {name} does not start: {str(error).splitlines()[0]}",
                where="train.trackers",
                why="no step was trained, because nothing of it would have been sent",
                fix="WANDB_MODE=offline keeps its files in train/wandb for `wandb sync`; or: wandb login"
                if name == "wandb"
                else f"take {name} out of train.trackers",
            )
        ) from error
    return tracker


def refuse_missing(names: Sequence[str]) -> None:
    """Insist that every tracker asked for is installed.

    Raises:
        ConfigError: One is not.
    """
    missing = [name for name in names if importlib.util.find_spec(_PACKAGES[name]) is None]
    if missing:
        raise ConfigError(
            explain(
                f"train.trackers: {missing[0]} is not installed",
                where="train.trackers",
                why="lorascope sends to a tracker through its own package",
                fix='pip install "lorascope[trackers]", or take it out of train.trackers',
            )
        )


def _perplexity(loss: float | None) -> float | None:
    """Exp of a loss; None where it has no finite value."""
    if loss is None or loss > math.log(1e300):
        return None
    return math.exp(loss)
