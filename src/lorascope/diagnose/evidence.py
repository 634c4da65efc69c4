"""What the rules look at: a run of ours as far as it got, or the log of another trainer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lorascope.diagnose.logs.curve import NO_POINTS, LoggedRun, TrainPoints
from lorascope.diagnose.series import Series, make_series
from lorascope.errors import command
from lorascope.metrics.quantiles import median
from lorascope.run.records import EvalRecord

Json = dict[str, Any]
_CONSTANT = 0.9  # of the highest rate, throughout the second half
State = Literal["finished", "failed", "unfinished", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was generated for the same prompts, greedily. Shapes: N prompts.

    Attributes:
        base: Answers of the base model, [N].
        adapter: Answers with the adapter, [N].
        reference: The answers of the data, [N].
        base_stopped: Whether the base's ended by a stop token, [N], bool.
        adapter_stopped: Whether the adapter's did, [N], bool.
    """

    base: tuple[str, ...]
    adapter: tuple[str, ...]
    reference: tuple[str, ...]
    base_stopped: np.ndarray
    adapter_stopped: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about a training; rules say what they miss.

    Attributes:
        run: Its folder or log as commands name it.
        state: "unfinished" is still going or interrupted; `goes_on` tells which. "unknown": the log does not
            say how long the training was to be.
        goes_on: Whether a living process trains a run of ours, as of `is_being_written`; None where nobody
            can tell, and of every log.
        steps: The training points: every optimizer step of ours, what was logged of another trainer's.
        log: The log of another trainer; None for a run of ours.
        evals: One record per evaluation of ours, with the loss of every row.
        failure: train/failure.json where training stopped there; None where it went on after it.
        summary: train/summary.json of a finished training.
        prepare: prepare/report.json.
        check: check/report.json.
        rescored: eval/adapter.json, if it is of the adapter that the run has now.
        compared: compare/report.json, if it is of the adapter that the run has now.
        validation_ids: Ids of the validation rows in the order of their losses; none where nobody noted them.
        probe_ids: The same of the train probe.
        prompt_use: train/prompt_use.json of a finished training.
        leaked: Whether prepare found each of them in training too; None where that is not on record.
        answers: What base and adapter generated for validation prompts, if eval did.
        trained_on: Hash of the dataset that a finished training used; None where it is not finished.
        config: config.json.
        adapters: The adapters on disk by name, "last" and "best", each with its step.
        problems: What was noteworthy about reading a run of ours; of a log they are in `log`.
    """

    run: str
    state: State = "unfinished"
    goes_on: bool | None = None
    steps: TrainPoints = NO_POINTS
    log: LoggedRun | None = None
    evals: tuple[EvalRecord, ...] = ()
    trained_on: str | None = None
    failure: Json | None = None
    summary: Json | None = None
    prepare: Json | None = None
    check: Json | None = None
    rescored: Json | None = None
    compared: Json | None = None
    validation_ids: tuple[str, ...] = ()
    probe_ids: tuple[str, ...] = ()
    prompt_use: Json | None = None
    leaked: np.ndarray | None = None
    answers: Answers | None = None
    config: Json = field(default_factory=dict)
    adapters: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @cached_property
    def validation(self) -> Series | None:
        """Validation losses over the evaluations; None where there is no validation split."""
        return make_series([(one.step, one.validation) for one in self.evals if one.validation is not None])

    @cached_property
    def probe(self) -> Series | None:
        """Train probe losses over the evaluations; None before the first."""
        return make_series([(one.step, one.probe) for one in self.evals])

    @property
    def is_evaluated(self) -> bool:
        """Whether losses of held-out rows are on record."""
        return self.validation is not None if self.log is None else len(self.log.evals) > 0

    @property
    def last_step(self) -> int:
        """The last optimizer step that is known of."""
        if self.log is not None:
            return int(self.log.last_step)
        return int(max([0, *self.steps.step[-1:], *(one.step for one in self.evals)]))

    @property
    def step_word(self) -> str:
        """What the steps count, in messages: a log without step numbers has rows."""
        return "step" if self.log is None else self.log.step_word

    @cached_property
    def learning_rate(self) -> float | None:
        """The peak learning rate used so far; None where none is known."""
        known = self.steps.learning_rate[np.isfinite(self.steps.learning_rate)]
        return float(known.max()) if len(known) else None

    @cached_property
    def warmed_up(self) -> int:
        """Index of the first training point at the peak learning rate; 0 where no rate is known."""
        peak = self.learning_rate
        return int(np.argmax(self.steps.learning_rate >= 0.999 * peak)) if peak else 0

    @cached_property
    def losses(self) -> np.ndarray:
        """The finite, positive losses of the training points from the end of warmup on."""
        return _likelihoods(self.steps.loss[self.warmed_up :])

    @cached_property
    def losses_with_warmup(self) -> np.ndarray:
        """The same of all training points."""
        return _likelihoods(self.steps.loss)

    def annealed(self, since: float) -> bool:
        """Whether the learning rate was mostly below a tenth of its peak after a step."""
        rates = self.steps.learning_rate[self.steps.step > since]
        rates = rates[np.isfinite(rates)]
        return bool(len(rates)) and float(median(rates)) < 0.10 * (self.learning_rate or 0.0)

    def rate_to_run_out(self) -> str | None:
        """Advice to let a learning rate run out that was constant; None where none is known to be."""
        rates = self.steps.learning_rate[len(self.steps) // 2 :]
        if not len(rates) or not np.isfinite(rates).all() or rates.min() < _CONSTANT * rates.max():
            return None
        return (
            "let the rate run out: a cosine in the place of the constant rate gains what the noise of the "
            f"steps holds back: {self.retrain(schedule='cosine')}"
        )

    def retrain(self, **changes: Any) -> str:
        """What trains again with other settings: a command, or words for another trainer.

        Args:
            changes: Setting of the section `train` -> value.
        """
        if self.log is None:
            words = [word for name, value in changes.items() for word in ("--set", f"train.{name}={value}")]
            return command("train", self.run, "--overwrite", *words)
        told = " and ".join(f"{name.replace('_', ' ')} {value}" for name, value in changes.items())
        return f"train again with {told}" if told else "train again"

    def slower(self, factor: float = 3, rate: float | None = None) -> str:
        """What trains again with a fraction of a learning rate; of the peak where none is given."""
        rate = rate or self.learning_rate
        if rate:
            return self.retrain(learning_rate=f"{rate / factor:.2g}")
        return self.retrain() if self.log is None else "train again with a third of the learning rate"

    def let_it_go_on(self) -> str:
        """What brings a training of ours that is not at its end further."""
        if self.goes_on:
            return f"let it go on: {command('watch', self.run)}"
        again = command("train", self.run, "--resume")
        return again if self.goes_on is False else f"let it go on; if it was interrupted: {again}"

    def look_at_data(self) -> str:
        """What shows the examples that are trained on, with their masks."""
        if self.log is None:
            return command("check", self.run, "--show", 3)
        return "decode a batch with its labels: lorascope check DATASET --base MODEL --show 3"


def _likelihoods(loss: np.ndarray) -> np.ndarray:
    return np.asarray(loss[np.isfinite(loss) & (loss > 0)])
