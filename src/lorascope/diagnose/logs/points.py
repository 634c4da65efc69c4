"""Entries of a log, each a mapping from a name to a value -> a `LoggedRun`. Every format ends here."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.diagnose.logs import names
from lorascope.diagnose.logs.curve import EvalPoints, Facts, LoggedRun, TrainPoints
from lorascope.diagnose.logs.faults import no_loss

Entry = Mapping[str, Any]

_OF = re.compile(r"\s*(\d+)\s*/\s*\d+\s*")
_MOST_EPOCH = 1000  # whole numbers beyond it, in leaps, are steps that somebody called epochs


class Columns:
    """The entries of a log, column by column.

    Attributes:
        entries: In the order of the file.
        problems: What was noteworthy about reading them so far.
    """

    def __init__(self, entries: Sequence[Entry], problems: list[str]) -> None:
        self.entries = entries
        self.problems = problems

    def read(self, name: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Read one column.

        Args:
            name: As the file has it; None for a column that there is not.

        Returns:
            Its values, NaN where there is none, and whether there is one.
        """
        if name is None:
            return np.full(len(self.entries), np.nan), np.zeros(len(self.entries), dtype=bool)
        raw = [entry.get(name) for entry in self.entries]
        present = np.array([value is not None for value in raw], dtype=bool)
        try:
            return np.array(raw, dtype=np.float64), present  # takes None for NaN, "nan" and "1.5" for numbers
        except (TypeError, ValueError):
            pass
        numbers = [as_number(value) for value in raw]
        strange = [
            value
            for value, number in zip(raw, numbers, strict=True)
            if number is None and value not in (None, "")
        ]
        if strange:
            self.problems.append(
                f'{len(strange):,} values of "{name}" are no numbers and count as absent; the first is '
                f"{str(strange[0])[:40]!r}"
            )
        present = np.array([number is not None for number in numbers], dtype=bool)
        return np.array(numbers, dtype=np.float64), present


def as_number(value: Any) -> float | None:
    """Read one value: a number or text that is one, "nan", "1,234", 5 from "5/100"; None for others."""
    if value is None or isinstance(value, dict | list):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    of = _OF.fullmatch(str(value))
    text = of[1] if of else str(value).strip().rstrip("%").replace(",", "")
    try:
        return float(text)
    except ValueError:
        return None


def logged_run(
    entries: Sequence[Entry],
    *,
    path: Path,
    form: str,
    facts: Facts | None = None,
    given: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
) -> LoggedRun:
    """Make the curves of the entries of a log.

    An entry with a loss is a training point; one with an evaluation's loss or metric is an evaluation; a row
    of a table is often both.

    Args:
        entries: In the order of the file.
        path: The file, for messages.
        form: What was recognised, as in "CSV".
        facts: What the file says about the run beside its entries.
        given: Quantity -> name where it is not to be guessed, see `names.guess_columns`.
        problems: What was noteworthy so far.

    Raises:
        RunError: No entry has a loss or anything that an evaluation measures.
        ConfigError: What is given is no quantity or no name in the file.
    """
    # The entry that closes a training of transformers holds means over all of it: no point of a curve.
    entries = [entry for entry in entries if "train_runtime" not in entry]
    counts = Counter(chain.from_iterable(entries))
    table = Columns(entries, list(problems))
    columns = names.guess_columns(counts, given)
    metric_names = _metric_names(counts, columns)
    loss, has_loss = _loss(table, columns, "loss")
    eval_loss, has_eval = _loss(table, columns, "eval_loss")
    metrics = {metric: table.read(name) for metric, name in metric_names.items()}
    is_eval = np.any([has_eval, *(present for _, present in metrics.values())], axis=0)
    if not has_loss.any() and not is_eval.any():
        raise no_loss(path, form, list(counts))
    _tell_other_losses(metric_names, columns, table.problems)
    probe = _measured_train_loss(counts, columns)
    if probe is not None:
        metric_names["train_loss"] = probe
        metrics["train_loss"] = table.read(probe)
    step, epoch, step_is_row = _steps(table, columns, has_loss | is_eval)
    restarts = _restarts(step[has_loss], table.problems)
    grad_norm, has_norm = table.read(columns.get("grad_norm"))
    rewards = [name for name in counts if names.logs_rewards(name)]
    return LoggedRun(
        format=form,
        path=path,
        train=TrainPoints(
            step=step[has_loss],
            epoch=epoch[has_loss],
            loss=loss[has_loss],
            loss_not_finite=~np.isfinite(loss[has_loss]),
            learning_rate=table.read(columns.get("learning_rate"))[0][has_loss],
            grad_norm=grad_norm[has_loss],
            grad_norm_not_finite=(has_norm & ~np.isfinite(grad_norm))[has_loss],
            num_tokens=table.read(columns.get("num_tokens"))[0][has_loss],
        ),
        evals=EvalPoints(
            step=step[is_eval],
            epoch=epoch[is_eval],
            loss=eval_loss[is_eval],
            loss_not_finite=(has_eval & ~np.isfinite(eval_loss))[is_eval],
            metrics={metric: values[is_eval] for metric, (values, _) in metrics.items()},
        ),
        columns={**columns, **{f"eval_{metric}": name for metric, name in metric_names.items()}},
        facts=facts or Facts(),
        step_is_row=step_is_row,
        restarts=restarts,
        is_rl=any(any(entry.get(name) is not None for entry in entries) for name in rewards),
        is_preference=any(names.logs_preferences(name) for name in counts),
        problems=tuple(table.problems),
    )


def _metric_names(counts: Mapping[str, int], columns: Mapping[str, str]) -> dict[str, str]:
    """What evaluations measured beside their loss -> its name in the file."""
    taken = set(columns.values())
    found: dict[str, str] = {}
    for name in counts:
        metric = names.eval_metric(name)
        if metric is not None and name not in taken:
            found.setdefault(metric, name)
    return found


def _tell_other_losses(
    metric_names: Mapping[str, str], columns: Mapping[str, str], problems: list[str]
) -> None:
    others = [name for metric, name in metric_names.items() if metric.endswith("loss")]
    if others and "eval_loss" in columns:
        problems.append(
            f'several evaluation losses are logged: "{columns["eval_loss"]}" was read as the loss, and kept '
            f"as metrics: {', '.join(others[:4])}"
        )


def _loss(table: Columns, columns: dict[str, str], quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """A loss column, or the logarithm of a perplexity where that is all there is."""
    if quantity in columns:
        return table.read(columns[quantity])
    name = columns.get(names.PERPLEXITY[quantity])
    values, present = table.read(name)
    if name is not None:
        table.problems.append(f'no loss is logged: it is the natural logarithm of the perplexity, "{name}"')
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(values)
    return values, present


def _measured_train_loss(counts: Mapping[str, int], columns: Mapping[str, str]) -> str | None:
    """The name of a second training loss beside the evaluations: nanoGPT measures it the same way."""
    others = [name for name in counts if names.plain(name) == "train_loss" and name != columns.get("loss")]
    return others[0] if others and "eval_loss" in columns else None


def _steps(
    table: Columns, columns: dict[str, str], is_point: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Step and epoch of every entry, and whether the step is a row number for want of another."""
    step, has_step = table.read(columns.get("step"))
    epoch, _ = table.read(columns.get("epoch"))
    if not (has_step & is_point).any():
        if _epochs_are_steps(epoch[is_point]):
            table.problems.append(
                f'"{columns["epoch"]}" goes up to {np.nanmax(epoch):,.0f} in leaps: it is taken for the step'
            )
            columns["step"] = columns.pop("epoch")
            return epoch, np.full_like(epoch, np.nan), False
        return np.cumsum(is_point).astype(np.float64), epoch, True
    step = _carried_on(step)
    return _through_epochs(step, epoch, is_point, table.problems), epoch, False


def _carried_on(step: np.ndarray) -> np.ndarray:
    """Steps, with that of the entry before where an entry says none; 0 before the first."""
    last = np.maximum.accumulate(np.where(np.isnan(step), -1, np.arange(len(step))))
    return np.where(last < 0, 0.0, step[np.maximum(last, 0)])


def _epochs_are_steps(epoch: np.ndarray) -> bool:
    known = epoch[np.isfinite(epoch)]
    if len(known) < 2 or (known != np.round(known)).any():
        return False
    return bool(known.max() > _MOST_EPOCH and np.median(np.diff(known)) > 1)


def _through_epochs(
    step: np.ndarray, epoch: np.ndarray, is_point: np.ndarray, problems: list[str]
) -> np.ndarray:
    """Count on through epochs where the steps begin again with each of them."""
    where = np.flatnonzero(is_point)
    if len(where) < 2 or np.isnan(epoch[where]).any() or (epoch[where] != np.round(epoch[where])).any():
        return step
    falls, change = np.diff(step[where]) < 0, np.diff(epoch[where])
    if not (falls & (change > 0)).any() or (falls & (change == 0)).any():
        return step
    problems.append("steps begin again with each epoch: they are counted on through all of them")
    counted = step.copy()
    before = 0.0  # steps of the epochs before; none when the epochs begin again too, as in another run
    for at, (falls_here, change_here) in enumerate(zip(falls, change, strict=True), start=1):
        if falls_here:
            before = before + step[where[at - 1]] if change_here > 0 else 0.0
        counted[where[at]] = before + step[where[at]]
    return counted


def _restarts(step: np.ndarray, problems: list[str]) -> tuple[int, ...]:
    falls = np.flatnonzero(np.diff(step) < 0) + 1
    if len(falls):
        first = int(falls[0])
        problems.append(
            f"the step goes back {len(falls):,} time{'s' if len(falls) > 1 else ''}, first from "
            f"{step[first - 1]:,.0f} to {step[first]:,.0f}: training was resumed, or the file holds several "
            "runs; all of it is kept"
        )
    same = int((np.diff(step) == 0).sum())
    if same:
        problems.append(f"{same:,} training points have the step of the point before; all are kept")
    return tuple(int(one) for one in falls)
