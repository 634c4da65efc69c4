"""Tables of any tool (CSV, TSV, JSON, JSONL; W&B, MLflow, Keras, pandas) -> `LoggedRun`, columns guessed."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lorascope.diagnose.counts import counted
from lorascope.diagnose.logs import names
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.numbers import as_number
from lorascope.diagnose.logs.points import logged_run

_LOSSES = ("loss", "eval_loss", "perplexity", "eval_perplexity")
_DELIMITERS = (",", "\t", ";", "|")
_KIND_COLUMNS = ("split", "phase", "mode", "stage", "type", "kind", "set", "subset", "dataset")
_RUN_COLUMNS = ("run", "run_id", "run_name", "run_uuid")
_NUM_SHOWN = 4
_METRIC_COLUMNS = ("metric", "key", "metric_key", "metric_name", "tag")
_COMMENT = "#"
_OF_RUN = " - "  # as in W&B's "run-7 - train/loss"


def looks_like_table(lines: Sequence[str]) -> bool:
    """Whether a text begins as a table with a header that names a loss or a value, and a row of numbers."""
    header, rows = _header(lines)
    whole = [row for row in rows if header is not None and len(row) == len(header)]
    if header is None or not whole or 2 * len(whole) < len(rows):
        return False
    plain = {names.plain(name) for name in header}
    return (
        (_names_loss(header) or "value" in plain)
        and all(as_number(cell) is None for cell in header if cell)
        and any(as_number(cell) is not None for cell in whole[0])
    )


def is_only_header(lines: Sequence[str]) -> bool:
    """Whether a text is the header of a table that names a loss, with no row beneath it yet."""
    header, rows = _header(lines)
    return (
        header is not None
        and not rows
        and _names_loss(header)
        and all(as_number(cell) is None for cell in header)
    )


def _names_loss(header: Sequence[str]) -> bool:
    return any(names.guess_columns(dict.fromkeys(header, 1)).get(one) for one in _LOSSES)


def delimited_run(
    lines: Sequence[str], path: Path, given: Mapping[str, str] | None = None, *, problems: list[str]
) -> LoggedRun:
    """Read a table written as text.

    Args:
        lines: Its header and rows.
        path: The file.
        given: Quantity -> column where it is not to be guessed.
        problems: What was noteworthy so far.

    Raises:
        RunError: No column is a loss.
    """
    header, rows = _header(lines)
    columns = [name or f"column_{number}" for number, name in enumerate(header or [], start=1)]
    whole = [row for row in rows if len(row) == len(columns) and row != columns]
    if len(whole) < len(rows):
        problems.append(
            counted(
                len(rows) - len(whole),
                "row was passed over: it has another number of columns than the header, or repeats it",
                "rows were passed over: they have another number of columns than the header, or repeat it",
            )
        )
    # An empty cell is no value: W&B and pandas write one wherever a step did not log a column. Only of a loss
    # it is kept as None, because it may be one that should be there.
    losses = _losses_in(columns, whole, given or {})
    entries = [
        {name: cell or None for name, cell in zip(columns, row, strict=True) if cell != "" or name in losses}
        for row in whole
    ]
    form = "TSV" if lines and "\t" in lines[0] else "CSV"
    semicolons = _delimiter(_told(lines)[0]) == ";"
    return table_run(entries, path, form, given, problems=problems, decimal_commas=semicolons)


def table_run(
    entries: Sequence[Mapping[str, Any]],
    path: Path,
    form: str,
    given: Mapping[str, str] | None = None,
    *,
    problems: list[str],
    decimal_commas: bool = False,
) -> LoggedRun:
    """Read a table whose rows are mappings.

    Args:
        entries: The rows; a value may itself be a mapping.
        path: The file.
        form: What it is written as.
        given: Quantity -> column where it is not to be guessed.
        problems: What was noteworthy so far.
        decimal_commas: Its cells are separated by semicolons, as where a comma stands before decimals.

    Raises:
        RunError: No column is a loss.
    """
    flat, which = _last_run([_flat(entry) for entry in entries], problems)
    form += which
    losses = {name for quantity, name in (given or {}).items() if quantity.endswith("loss")}
    if not any(name in row for name in losses for row in flat):  # else a loss is given as the file names it
        flat = _by_split(_widened(flat, path, problems))
    rows = _one_run(flat, given, problems)
    return logged_run(
        rows, path=path, form=form, given=given, problems=problems, decimal_commas=decimal_commas
    )


def _losses_in(columns: Sequence[str], rows: Sequence[Sequence[str]], given: Mapping[str, str]) -> set[str]:
    """The columns that will be taken for a loss, of those with a value; of all where none has one."""
    filled = {name: len(rows) - [row[at] for row in rows].count("") for at, name in enumerate(columns)}
    for counts in ({name: num for name, num in filled.items() if num}, dict.fromkeys(columns, 0)):
        found = {**names.guess_columns(counts), **given}
        losses = {found[one] for one in _LOSSES if one in found} & set(columns)
        if losses:
            return losses
    return set()


def columns_as_rows(columns: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """A mapping of lists of one length (the history of Keras) -> rows; None for anything else.

    pandas also writes mappings by row number, of columns or of whole rows.
    """
    inner = list(columns.values())
    if inner and all(isinstance(one, dict) for one in inner):
        if all(map(str.isdecimal, columns)):
            return inner
        if all(one.keys() == inner[0].keys() and all(map(str.isdecimal, one)) for one in inner):
            columns = {name: list(one.values()) for name, one in columns.items()}
    lists = {name: column for name, column in columns.items() if isinstance(column, list)}
    lengths = {len(column) for column in lists.values()}
    if len(lengths) != 1 or not any(names.guess_columns(dict.fromkeys(lists, 1)).get(one) for one in _LOSSES):
        return None
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def has_loss(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a name in the rows means a loss."""
    found = names.guess_columns(Counter(chain.from_iterable(_flat(row) for row in rows)))
    return any(one in found for one in _LOSSES)


def _told(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip() and not line.startswith(_COMMENT)]


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _header(lines: Sequence[str]) -> tuple[list[str] | None, list[list[str]]]:
    kept = _told(lines)
    if not kept:
        return None, []
    delimiter = _delimiter(kept[0])
    if kept[0].count(delimiter) == 0:
        return None, []
    rows = _split(kept, delimiter)
    return rows[0], rows[1:]


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The cells of rows; a line is a row where a quotation mark that is never closed would swallow many."""
    usual = csv.field_size_limit(sum(map(len, lines)) + len(lines))  # a row may hold a whole generated answer
    try:
        rows = _stripped(csv.reader(lines, delimiter=delimiter))
        if len(rows) < len(lines) and sum(line.count('"') for line in lines) % 2:
            rows = _stripped(row for line in lines for row in csv.reader([line], delimiter=delimiter))
    except csv.Error:
        rows = _stripped(line.split(delimiter) for line in lines)
    finally:
        csv.field_size_limit(usual)
    return rows


def _stripped(rows: Iterable[list[str]]) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in rows]


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Values of mappings within a mapping under "outer/inner"."""
    if not any(isinstance(value, dict) for value in entry.values()):
        return dict(entry) if not isinstance(entry, dict) else entry
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, dict):
            flat.update({f"{name}/{inner}": one for inner, one in value.items()})
        else:
            flat[name] = value
    return flat


def _widened(rows: list[dict[str, Any]], path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """One row per metric (MLflow) or one nameless column of values (TensorBoard) -> a column per metric."""
    by_plain = {names.plain(name): name for name in (rows[0] if rows else {})}
    value = by_plain.get("value")
    if value is None:
        return rows
    metric = next((by_plain[one] for one in _METRIC_COLUMNS if one in by_plain), None)
    if metric is None:
        if has_loss(rows[:1]):
            return rows
        words = set(names.plain(path.stem).split("_"))
        taken = "eval_loss" if words & set(names.EVAL_WORDS) else "loss"
        problems.append(f'the only column of values is called "{value}": it is taken for {taken}')
        return [{taken if name == value else name: one for name, one in row.items()} for row in rows]
    ignored = {metric, value}
    return [
        {
            **{name: one for name, one in row.items() if name not in ignored},
            str(row[metric]): row.get(value),
        }
        for row in rows
        if metric in row
    ]


def _by_split(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that say whether they are of training or of validation -> the loss of the latter is eval_loss."""
    present = {names.plain(name): name for row in rows[:100] for name in row}
    column = next((present[one] for one in _KIND_COLUMNS if one in present), None)
    if column is None:
        return rows

    def is_eval(row: Mapping[str, Any]) -> bool:
        return bool(set(names.plain(str(row.get(column, ""))).split("_")) & set(names.EVAL_WORDS))

    kept_apart = {"step", "epoch", "learning_rate", "num_tokens"}
    shared = {
        name
        for quantity, name in names.guess_columns(dict.fromkeys(present.values(), 1)).items()
        if quantity in kept_apart
    }
    return [
        {
            name if name in shared or name == column or names.eval_metric(name) else f"eval_{name}": one
            for name, one in row.items()
        }
        if is_eval(row)
        and not any(names.plain(name).startswith("eval") and one is not None for name, one in row.items())
        else row
        for row in rows
    ]


def _last_run(rows: list[dict[str, Any]], problems: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Of a table that names the run of each row keep the last, and say so beside the format."""
    present = {names.plain(name): name for row in rows[:100] for name in row}
    column = next((present[one] for one in _RUN_COLUMNS if one in present), None)
    runs = list(dict.fromkeys(str(row[column]) for row in reversed(rows) if row.get(column) is not None))
    halves = any(set(names.plain(run).split("_")) & set(names.EVAL_WORDS) for run in runs)
    if column is None or len(runs) < 2 or len(runs) > len(rows) / 2 or halves:  # halves: train, validation
        return rows, ""
    others = runs[1:]
    shown = ", ".join(f'"{one}"' for one in others[:_NUM_SHOWN])
    more = f" and {len(others) - _NUM_SHOWN:,} more" if len(others) > _NUM_SHOWN else ""
    kept = [row for row in rows if str(row.get(column)) == runs[0]]
    passed_over = len(rows) - len(kept)
    problems.append(
        f'"{column}" names {len(runs):,} runs: the last, "{runs[0]}", was read, and '
        f"{counted(passed_over, 'row')} of {shown}{more} {'was' if passed_over == 1 else 'were'} passed "
        "over; to judge another, put its rows into a file of their own"
    )
    return kept, f', run "{runs[0]}" of {len(runs):,}'


def _one_run(
    rows: list[dict[str, Any]], given: Mapping[str, str] | None, problems: list[str]
) -> list[dict[str, Any]]:
    """Of an export of W&B with several runs side by side keep one, or its losses would be mixed up."""
    runs: dict[str, int] = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        run, separator, column = name.rpartition(_OF_RUN)
        if separator and names.plain(column) in names.LOSS_NAMES:
            runs[run] = max(runs.get(run, 0), sum(row.get(name) is not None for row in rows))
    if len(runs) < 2:
        return rows
    wanted = {name.rpartition(_OF_RUN)[0] for name in (given or {}).values()} & set(runs)
    kept = next(iter(wanted), None) or max(runs, key=lambda run: runs[run])
    others = ", ".join(sorted(set(runs) - {kept})[:4])
    problems.append(
        f'the table holds {len(runs)} runs side by side: "{kept}" was read, not {others}; name a column '
        "of another to read that"
    )
    # A row of another run alone has no loss of this one, which is no loss that is missing.
    return [
        {name: one for name, one in row.items() if name.rpartition(_OF_RUN)[0] in ("", kept)}
        for row in rows
        if kept in (told := _runs_of(row)) or not told
    ]


def _runs_of(row: Mapping[str, Any]) -> set[str]:
    """The runs of which a row has a value."""
    return {name.rpartition(_OF_RUN)[0] for name, one in row.items() if one is not None} - {""}
