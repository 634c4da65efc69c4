"""Two lines that bring check, an honest step log and verdicts into a training by transformers or TRL."""

import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from lorascope.diagnose.logs.callback_log import FILE, plan_line
from lorascope.errors import DataError, NothingLogged, explain
from lorascope.integrations.batches import generators_kept, rows_of_batch
from lorascope.integrations.listening import Listener, calling_trainer
from lorascope.integrations.processes import num_processes, of_all, of_any, summed

_ROWS_CHECKED = 64
_ENDLESS = 1e9  # epochs: what a Trainer counts where its rows are a stream
_log = logging.getLogger("lorascope")


class LorascopeCallback(TrainerCallback):
    """Checks the first batches, logs every step as it was, and reads the signals at each evaluation.

        from lorascope.integrations import LorascopeCallback
        trainer.add_callback(LorascopeCallback())

    Before step 1 the rows of the Trainer's own first batches, as it collated them, go through `check`. Where
    nothing but padding is masked in any of them, and no chat template shows prompts, one line says what that
    means, and the training goes on.
    During training the loss of every step is the one that the Trainer goes backward from, whatever computes
    it, so that a NaN is a NaN: transformers logs means over several steps and by default writes another
    number in place of a NaN. A step whose loss or gradient is not finite is not made: its gradients are
    dropped before the optimizer sees them.

    The log is OUTPUT_DIR/lorascope.jsonl; `lorascope diagnose` and `lorascope watch` read it. Its first line
    says how many steps and epochs are planned. "grad_norm" is the gradient's length before it is clipped; of
    a Trainer that does not tell it, "clipped_grad_norm" is what the optimizer gets. Where several processes
    train, the first one writes: loss and target tokens are those of all of them. All drop a step, or end the
    training, together.
    """

    def __init__(
        self,
        *,
        path: Path | str | None = None,
        refuse: bool = True,
        stop_on: Sequence[str] = ("non_finite",),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Make a callback for one training.

        Args:
            path: Of the log; None is lorascope.jsonl in the Trainer's output folder.
            refuse: Raise where a check of the first batches fails, before a step is spent; False tells it
                only.
            stop_on: Findings that end the training: "non_finite", "diverging", "overfitting".
            tell: Takes each line that is told; None is the logger "lorascope", at warning level.
        """
        self.path = None if path is None else Path(path)
        self.refuse, self.stop_on = refuse, tuple(stop_on)
        self.tell = tell or _log.warning
        self.checked: dict[str, Any] | None = None
        self.report: dict[str, Any] | None = None
        self._verdict = ""
        self._heard: Listener | None = None
        self._writes = True
        self._norm: float | None = None
        self._loss: float | None = None
        self._targets = 0
        self._combined = False
        self._rate: float | None = None
        self._dropped = False
        self._started = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Check the first batches, and begin to listen to the Trainer's steps."""
        self._writes = state.is_world_process_zero
        self.path = self.path or Path(args.output_dir) / FILE
        if self._writes:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if state.global_step == 0:
                self.path.write_text("", encoding="utf-8")
        self._check(args, given)
        trainer = calling_trainer()
        if trainer is None:
            self._say("lorascope: steps are not logged: it was not a Trainer that called this callback")
            return
        if self._heard is not None:  # an earlier training of this callback was broken off
            self._heard.stop()
        self._heard = Listener(trainer)
        self._plan(state.max_steps, state.num_train_epochs)

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Note the learning rate that the step is made with."""
        self._begin_step()
        scheduler = given.get("lr_scheduler")
        self._rate = scheduler.get_last_lr()[0] if scheduler is not None else None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Note the length of the clipped gradient, and drop gradients that are not finite."""
        gradients = [p.grad for p in given["model"].parameters() if p.grad is not None]
        self._norm = torch.nn.utils.get_total_norm(gradients).item() if gradients else 0.0
        if not self._combine(args):
            return
        for parameter in given["model"].parameters():
            parameter.grad = None
        self._dropped = True

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Write the step's line; tell and stop where it was not finite."""
        if not self._combined:
            self._combine(args)
        loss, whole = self._loss, self._heard.norm if self._heard is not None else None
        self._write(
            {
                "step": state.global_step,
                "epoch": state.epoch,
                "loss": loss,
                "target_tokens": self._targets,
                "learning_rate": self._rate,
                **({"clipped_grad_norm": self._norm} if whole is None else {"grad_norm": whole}),
                "seconds": round(time.monotonic() - self._started, 4),
                **({"processes": num_processes()} if num_processes() > 1 else {}),
            }
        )
        if self._dropped or (loss is not None and not math.isfinite(loss)):
            self._say(
                f"lorascope: step {state.global_step:,} is not finite (loss {loss}, gradient {self._norm}): "
                "its update "
                "was not made"
            )
            if "non_finite" in self.stop_on:
                control.should_training_stop = True
        return control

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **given: Any
    ) -> Any:
        """Write the evaluation, read the signals, and tell the verdict where it changed."""
        told = {name: value for name, value in (metrics or {}).items() if isinstance(value, int | float)}
        self._write({"step": state.global_step, "epoch": state.epoch, **told})
        self._judge()
        found = self.report["findings"] if self.report is not None else []
        # What rose for a reason that nobody can tell is worth a line, not the end of a training.
        ends = any(one["rule"] in self.stop_on and one["evidence"].get("shown", True) for one in found)
        if of_any(ends, args.device):
            if self.report is not None:
                self._say(f"lorascope: training ends here, {self.report['verdict_reason']}")
            control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Read the signals once more, and say where the log is."""
        if self._heard is not None:
            self._heard.stop()
            self._heard = None
            if state.global_step < state.max_steps:  # it was asked to end here, and nothing more will come
                self._plan(state.global_step, state.epoch)
        self._judge()
        self._say(f"lorascope: every step is in {self.path}; next: lorascope diagnose {self.path}")

    def _say(self, line: str) -> None:
        if self._writes:
            self.tell(line)

    def _begin_step(self) -> None:
        if self._heard is not None:
            self._heard.begin_step()
        self._dropped = self._combined = False
        self._norm = self._loss = None
        self._started = time.monotonic()

    def _combine(self, args: Any) -> bool:
        """Bring loss and target tokens of all processes together.

            loss = mean over the processes of the sums of their passes

        That is what their gradients, which are averaged, are the gradient of.

        Returns:
            Whether any process saw a loss or a gradient that is not finite.
        """
        losses, targets = ([], 0) if self._heard is None else (self._heard.losses, self._heard.targets)
        broken = not all(math.isfinite(one) for one in [*losses, self._norm or 0.0])
        loss, heard, told, num_broken = summed(
            [sum(losses), float(bool(losses)), float(targets), float(broken)], args.device
        )
        self._loss = loss / heard if heard else None
        self._targets, self._combined = int(told), True
        return num_broken > 0

    def _check(self, args: Any, given: Mapping[str, Any]) -> None:
        """Look at the rows of the first batches as they were collated, those of every process.

        All processes take as many batches, because a loader may wait for the others at each one, and all see
        all rows, so that they refuse together.
        """
        tokenizer = given.get("processing_class") or given.get("tokenizer")
        loader = given.get("train_dataloader")
        if tokenizer is None or loader is None:
            missing = "tokenizer: Trainer(processing_class=TOKENIZER)" if tokenizer is None else "batches"
            self._say(f"lorascope: the first batches were not checked, there is no {missing}")
            return
        from lorascope.check.stage import check_rows

        rows: list[dict[str, list[int]]] = []
        with generators_kept():
            for batch in itertools.islice(loader, math.ceil(_ROWS_CHECKED / args.train_batch_size)):
                rows += rows_of_batch(batch)
        rows = of_all(rows)
        if not rows:
            self._say("lorascope: the first batches were not checked: they have no input_ids and labels")
            return
        self.checked = check_rows(rows, tokenizer)
        self._say(f"lorascope: check of {len(rows)} rows: {self.checked['first_line']}")
        for one in self.checked["notices"]:
            self._say(f"lorascope: {one['sentence']}; {one['fix']}")
        if self.checked["passed"] or not self.refuse:
            return
        # The check that the first line is about.
        failed = max(
            (one for one in self.checked["checks"] if one["passed"] is False),
            key=lambda one: one["num_failed"],
        )
        raise DataError(
            explain(
                f"the first batches do not teach what they should: {self.checked['first_line']}",
                where="the Trainer's own batches, as its collator made them",
                why=f"it must hold that {failed['question']}",
                fix=f"{failed['fix']}; or LorascopeCallback(refuse=False)",
            )
        )

    def _plan(self, max_steps: int, epochs: float | None) -> None:
        """Write how long the training is to be; of several such lines the last one counts."""
        known = epochs if epochs is not None and epochs < _ENDLESS else None
        self._write(plan_line(max_steps, known))

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._writes and self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")  # NaN stays NaN, as the log's readers take it

    def _judge(self) -> None:
        from lorascope.diagnose.logs.open_log import open_log
        from lorascope.diagnose.stage import diagnose_log

        if not self._writes or self.path is None:
            return
        try:
            self.report = diagnose_log(open_log(self.path), str(self.path))
        except NothingLogged:
            return
        if self.report["verdict"] not in (self._verdict, "not_enough_evidence"):
            self._verdict = self.report["verdict"]
            self._say(
                f"lorascope: verdict: {self._verdict.replace('_', ' ')} - {self.report['verdict_reason']}"
            )
