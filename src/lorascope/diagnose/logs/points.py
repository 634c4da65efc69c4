"""Entries of a log, each a mapping from a name to a value -> a `LoggedRun`. Every format ends here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from lorascope.diagnose.logs import names
from lorascope.diagnose.logs.columns import Columns, Entry
from lorascope.diagnose.logs.curve import EvalPoints, Facts, LoggedRun, TrainPoints
from lorascope.diagnose.logs.empty_losses import tell_empty_losses
from lorascope.diagnose.logs.faults import no_loss
from lorascope.diagnose.logs.order import is_shuffled, restarts_of
from lorascope.metrics.quantiles import median

_ROUNDING = -1e-3
_NEGATIVE = 0.01
_ORDINARY = 0.05  # nats
_ORDINARY_AFTER = 3
_MOST_EPOCH = 1000  # whole numbers beyond it, in leaps, are steps that somebody called epochs


def logged_run(
    entries: Sequence[Entry],
    *,
    path: Path,
    form: str,
    facts: Facts | None = None,
    given: Mapping[str, str] | None = None,
    problems: Sequence[str] = (),
    decimal_commas: bool = False,
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
        decimal_commas: See `Columns`.

    Raises:
        RunError: No entry has a loss or anything that an evaluation measures.
        ConfigError: What is given is no quantity or no name in the file.
    """
    # The entry that closes a training of transformers holds means over all of it: no point of a curve.
    entries = [entry for entry in entries if "train_runtime" not in entry or entry["train_runtime"] is None]
    counts = Counter(chain.from_iterable(entries))
    table = Columns(entries, list(problems), decimal_commas=decimal_commas)
    read = _read_points(table, counts, given, path, form)
    rewards = tuple(
        name for name in names.rewards_in(counts) if any(entry.get(name) is not None for entry in entries)
    )
    losses = np.concatenate([read.train.loss, read.evals.loss])
    is_negative = not rewards and _is_negative(losses, table.problems)
    train, evals = _sorted(read.train, read.evals, table.problems)
    if not rewards and _opens_with_nothing(train):
        table.problems.append("the first loss is logged as 0, before any was measured: it is left out")
        train = train.where(np.arange(1, len(train)))
    return LoggedRun(
        format=form,
        path=path,
        train=train,
        evals=evals.joined(),
        columns=read.columns,
        facts=facts or Facts(),
        step_is_row=read.step_is_row,
        restarts=restarts_of(train.step, table.problems),
        rewards=rewards,
        is_negative=is_negative,
        is_preference=any(names.logs_preferences(name) for name in counts),
        problems=tuple(table.problems),
    )


@dataclass(frozen=True, slots=True)
class _Points:
    """What the columns hold, in the order of the file and whatever it means.

    Attributes:
        columns: Quantity, or "eval_" and a metric -> its name in the file.
        train: The entries with a training loss.
        evals: The entries with an evaluation's loss or metric.
        step_is_row: The step is a row number for want of another.
    """

    columns: dict[str, str]
    train: TrainPoints
    evals: EvalPoints
    step_is_row: bool


def _read_points(
    table: Columns, counts: Mapping[str, int], given: Mapping[str, str] | None, path: Path, form: str
) -> _Points:
    """Find the columns and read them; arguments and errors as of `logged_run`."""
    columns = names.guess_columns(counts, given)
    metric_names = _metric_names(counts, columns)
    loss, has_loss = _loss(table, columns, "loss")
    eval_loss, has_eval = _loss(table, columns, "eval_loss")
    metrics = {metric: table.read(name) for metric, name in metric_names.items()}
    is_eval = np.any([has_eval, *(present for _, present in metrics.values())], axis=0)
    if not has_loss.any() and not is_eval.any():
        losses = ("loss", "eval_loss", *names.PERPLEXITY.values())
        raise no_loss(path, form, list(counts), [columns[one] for one in losses if one in columns])
    _tell_other_losses(metric_names, columns, table.problems)
    probe = _measured_train_loss(counts, columns)
    if probe is not None:
        metric_names["train_loss"] = probe
        metrics["train_loss"] = table.read(probe)
    step, epoch, step_is_row = _steps(table, columns, has_loss | is_eval)
    evals = EvalPoints(
        step=step[is_eval],
        epoch=epoch[is_eval],
        loss=eval_loss[is_eval],
        loss_not_finite=(has_eval & ~np.isfinite(eval_loss))[is_eval],
        metrics={metric: values[is_eval] for metric, (values, _) in metrics.items()},
    )
    train = _train_points(table, columns, step, epoch, loss, has_loss)
    tell_empty_losses(table, columns, counts, {"loss": has_loss, "eval_loss": has_eval})
    return _Points(
        columns={**columns, **{f"eval_{metric}": name for metric, name in metric_names.items()}},
        train=train,
        evals=evals,
        step_is_row=step_is_row,
    )


def _is_negative(losses: np.ndarray, problems: list[str]) -> bool:
    """Whether losses are below 0, and not for a rounding."""
    losses = losses[np.isfinite(losses)]
    below = int((losses < _ROUNDING).sum())
    if not below or below < _NEGATIVE * len(losses):
        return False
    problems.append(
        f"the loss is negative: no likelihood. {below:,} of {len(losses):,} losses are below 0, and those of "
        "tokens never are, so their height is not judged"
    )
    return True


def _opens_with_nothing(train: TrainPoints) -> bool:
    """Whether the first loss is a 0 that a logger wrote before it had one: ordinary losses follow."""
    after = train.loss[1 : 1 + _ORDINARY_AFTER]
    return (
        len(after) == _ORDINARY_AFTER
        and bool(train.loss[0] == 0)
        and bool((after > _ORDINARY).all())
        and not train.grad_norm_not_finite[0]
    )


def _train_points(
    table: Columns,
    columns: Mapping[str, str],
    step: np.ndarray,
    epoch: np.ndarray,
    loss: np.ndarray,
    has_loss: np.ndarray,
) -> TrainPoints:
    """The entries with a training loss, with what else they say."""
    grad_norm, has_norm = table.read_small(columns.get("grad_norm"), small_is_zero=False)
    rate, _ = table.read_small(columns.get("learning_rate"), small_is_zero=True)
    num_tokens, _ = table.read(columns.get("num_tokens"), is_count=True)
    return TrainPoints(
        step=step[has_loss],
        epoch=epoch[has_loss],
        loss=loss[has_loss],
        loss_not_finite=~np.isfinite(loss[has_loss]),
        learning_rate=rate[has_loss],
        grad_norm=grad_norm[has_loss],
        grad_norm_not_finite=(has_norm & ~np.isfinite(grad_norm))[has_loss],
        num_tokens=num_tokens[has_loss],
    )


def _sorted(train: TrainPoints, evals: EvalPoints, problems: list[str]) -> tuple[TrainPoints, EvalPoints]:
    """Both curves by step where the rows of the file are in no order."""
    if not is_shuffled(train.step if len(train) else evals.step):
        return train, evals
    problems.append("the rows are not in the order of their steps: they were sorted by step")
    by_step = np.argsort(train.step, kind="stable"), np.argsort(evals.step, kind="stable")
    return train.where(by_step[0]), evals.where(by_step[1])


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
            f"as metrics: {', '.join(others[:4])}; another is judged with --column eval_loss=NAME"
        )


def _loss(table: Columns, columns: dict[str, str], quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """A loss column, or the logarithm of a perplexity where that is all there is."""
    if quantity in columns:
        return table.read(columns[quantity], is_loss=True)
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
    step, has_step = table.read(columns.get("step"), is_count=True)
    epoch, _ = table.read(columns.get("epoch"))
    epoch = np.where(np.isfinite(epoch), epoch, np.nan)
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
    return bool(known.max() > _MOST_EPOCH and median(np.diff(known)) > 1)


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
