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

from lorascope.errors import DataError, explain
from lorascope.integrations.batches import generators_kept, num_targets, rows_of_batch
from lorascope.integrations.processes import num_processes, of_all, of_any, summed

LOG = "lorascope.jsonl"
_ROWS_CHECKED = 64
_CLIPPED = 0.999  # clipping scales to the limit, less what keeps it from dividing by 0
_log = logging.getLogger("lorascope")


class LorascopeCallback(TrainerCallback):
    """Checks the first batches, logs every step as it was, and reads the signals at each evaluation.

        from lorascope.integrations import LorascopeCallback
        trainer.add_callback(LorascopeCallback())

    Before step 1 the rows of the Trainer's own first batches, as it collated them, go through `check`. During
    training the loss of every step is taken from the model's own outputs, so that a NaN is a NaN:
    transformers logs means over several steps and by default writes another number in place of a NaN. A step
    whose loss or gradient is not finite is not made: its gradients are dropped before the optimizer sees
    them.

    The log is OUTPUT_DIR/lorascope.jsonl; `lorascope diagnose` and `lorascope watch` read it. "grad_norm" is
    the length of the whole gradient: the Trainer's own in the steps that it logs, else that of a gradient
    which was not clipped; of a clipped one only "clipped_grad_norm" is known. Where several processes train,
    the first one writes: loss and target tokens are those of all of them, and so is the gradient, unless it
    is sharded (FSDP, DeepSpeed): then its name is "local_clipped_grad_norm". All drop a step, or end the
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
        self._hook: Any = None
        self._writes = True
        self._losses: list[float] = []
        self._normalised = False
        self._targets = 0
        self._norm: float | None = None
        self._loss: float | None = None
        self._combined = False
        self._rate: float | None = None
        self._dropped = False
        self._line: dict[str, Any] | None = None
        self._started = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Check the first batches, and begin to listen to the model's losses."""
        self._writes = state.is_world_process_zero
        self.path = self.path or Path(args.output_dir) / LOG
        if self._writes:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if state.global_step == 0:
                self.path.write_text("", encoding="utf-8")
        self._check(args, given)
        self._hook = given["model"].register_forward_hook(self._heard, with_kwargs=True)

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Note the learning rate that the step is made with."""
        self._write_step()
        self._begin_step()
        scheduler = given.get("lr_scheduler")
        self._rate = scheduler.get_last_lr()[0] if scheduler is not None else None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Note the gradient's length, clipped as it is by now, and drop gradients that are not finite."""
        gradients = [p.grad for p in given["model"].parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).item() if gradients else 0.0
        self._norm = norm
        if not self._combine(args):
            return
        for parameter in given["model"].parameters():
            parameter.grad = None
        self._dropped = True

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Make the step's line; tell and stop where it was not finite."""
        if not self._combined:
            self._combine(args)
        loss = self._loss
        self._line = {
            "step": state.global_step,
            "epoch": state.epoch,
            "loss": loss,
            "target_tokens": self._targets,
            "learning_rate": self._rate,
            **_told_norm(self._norm, args),
            "seconds": round(time.monotonic() - self._started, 4),
            **({"processes": num_processes()} if num_processes() > 1 else {}),
        }
        if self._dropped or (loss is not None and not math.isfinite(loss)):
            self._say(
                f"lorascope: step {state.global_step:,} is not finite (loss {loss}, gradient {self._norm}): "
                "its update "
                "was not made"
            )
            if "non_finite" in self.stop_on:
                control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **given: Any
    ) -> None:
        """Take the length of the gradient as it was before it was clipped, which the Trainer alone knows."""
        norm = (logs or {}).get("grad_norm")
        if norm is not None and self._line is not None and self._line["step"] == state.global_step:
            self._line["grad_norm"] = float(norm)
        self._write_step()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **given: Any
    ) -> Any:
        """Write the evaluation, read the signals, and tell the verdict where it changed."""
        told = {name: value for name, value in (metrics or {}).items() if isinstance(value, int | float)}
        self._write_step()
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
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        self._write_step()
        self._judge()
        self._say(f"lorascope: every step is in {self.path}; next: lorascope diagnose {self.path}")

    def _say(self, line: str) -> None:
        if self._writes:
            self.tell(line)

    def _begin_step(self) -> None:
        self._losses, self._targets = [], 0
        self._normalised = self._dropped = self._combined = False
        self._norm = self._loss = None
        self._started = time.monotonic()

    def _combine(self, args: Any) -> bool:
        """Bring loss and target tokens of all processes together.

            loss = sum of the processes' shares     where each divided by the target tokens of all
                 = mean of the processes' losses    else, as the gradient is averaged

        Returns:
            Whether any process saw a loss or a gradient that is not finite.
        """
        passes = 1 if self._normalised else max(1, len(self._losses))  # 1: each is its share of the step
        broken = not all(math.isfinite(one) for one in [*self._losses, self._norm or 0.0])
        loss, heard, targets, num_broken = summed(
            [sum(self._losses) / passes, float(bool(self._losses)), float(self._targets), float(broken)],
            args.device,
        )
        shares = self._normalised and getattr(args, "average_tokens_across_devices", False)
        self._loss = None if not heard else loss if shares else loss / heard
        self._targets, self._combined = int(targets), True
        return num_broken > 0

    def _heard(self, module: Any, args: Any, given: Mapping[str, Any], output: Any) -> None:
        """Take the loss of a training pass from the model's output."""
        loss = output.get("loss") if hasattr(output, "get") else None
        if not module.training or loss is None:
            return
        self._losses.append(float(loss.detach().float()))
        self._normalised = given.get("num_items_in_batch") is not None
        if given.get("labels") is not None:
            self._targets += num_targets(given["labels"])

    def _check(self, args: Any, given: Mapping[str, Any]) -> None:
        """Look at the rows of the first batches as they were collated, those of every process.

        All processes take as many batches, because a loader may wait for the others at each one, and all see
        all rows, so that they refuse together.
        """
        tokenizer = given.get("processing_class") or given.get("tokenizer")
        loader = given.get("train_dataloader")
        if tokenizer is None or loader is None:
            self._say("lorascope: the first batches were not checked: no tokenizer or no batches to look at")
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
        if self.checked["passed"] or not self.refuse:
            return
        failed = next(one for one in self.checked["checks"] if one["name"] == self.checked["failed"][0])
        raise DataError(
            explain(
                f"the first batches do not teach what they should: {self.checked['first_line']}",
                where="the Trainer's own batches, as its collator made them",
                why=failed["question"],
                fix=f"{failed['fix']}; or LorascopeCallback(refuse=False)",
            )
        )

    def _write_step(self) -> None:
        """Write the line of the step before, now that the Trainer has logged what it will of it."""
        if self._line is not None:
            self._write(self._line)
            self._line = None

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._writes and self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")  # NaN stays NaN, as the log's readers take it

    def _judge(self) -> None:
        from lorascope.diagnose.logs import open_log
        from lorascope.diagnose.stage import diagnose_log

        if not self._writes or self.path is None or not self.path.stat().st_size:
            return
        self.report = diagnose_log(open_log(self.path), str(self.path))
        if self.report["verdict"] not in (self._verdict, "not_enough_evidence"):
            self._verdict = self.report["verdict"]
            self._say(
                f"lorascope: verdict: {self._verdict.replace('_', ' ')} - {self.report['verdict_reason']}"
            )


def _told_norm(norm: float | None, args: Any) -> dict[str, float | None]:
    """A gradient's length behind the clipping, and as "grad_norm" where clipping has not changed it."""
    if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
        return {"local_clipped_grad_norm": norm}
    longest = float(args.max_grad_norm or 0)
    whole = norm is not None and (longest <= 0 or not norm >= _CLIPPED * longest)
    return {**({"grad_norm": norm} if whole else {}), "clipped_grad_norm": norm}
