"""A text that begins as JSON does -> `LoggedRun`: one value, whole or cut, or a value a line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs import callback_log, cut_json, table, trainer_log, trainer_state
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.faults import nothing_logged
from lorascope.diagnose.logs.json_value import ends_early, json_value
from lorascope.diagnose.logs.lines import lines_of

_DEEPEST = 4


def json_run(
    content: str, path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun | None:
    """Read one JSON value, whole or cut, or one a line.

    Args:
        content: The file, decoded.
        path: Its name, for messages.
        columns: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far; added to.

    Returns:
        None where it is neither.

    Raises:
        RunError: No column is a loss.
        NothingLogged: It ends before its first entry does.
    """
    try:
        value = json_value(content)
    except ValueError:
        if trainer_state.has_history(content[:1000]) or _starts_as_state(content):
            return trainer_state.cut_run(content, path, columns, problems=problems)
        # One value comes before lines where the text is plainly one: a line of a cut array may be whole too.
        is_one_value = cut_json.begins_as_array(content) or ends_early(content)
        in_order = (_cut_run, _lines_run) if is_one_value else (_lines_run, _cut_run)
        found = (read(content, path, columns, problems) for read in in_order)
        return next((run for run in found if run is not None), None)
    except RecursionError:
        return None
    return _value_run(value, path, columns, problems)


def _starts_as_state(content: str) -> bool:
    """Whether a cut text is a state: its history begins before its first line that is a whole object ends."""
    first = content.split("\n", 1)[0].strip()
    return trainer_state.has_history(content) and not (first.startswith("{") and first.endswith("}"))


def _cut_run(
    content: str, path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun | None:
    """The table of a JSON value that is damaged or ends in the middle; None where it holds none.

    Raises:
        NothingLogged: It is an array that ends before its first entry does.
    """
    given = set((columns or {}).values())
    rows = cut_json.cut_table(
        content, lambda found: table.has_loss(found) or any(given & row.keys() for row in found)
    )
    if rows is not None:
        problems.append(cut_json.cut_told(rows))
        return table.table_run(rows, path, "JSON", columns, problems=problems)
    if cut_json.is_before_first_entry(content):
        raise nothing_logged(
            path,
            "the file ends before its first logged entry",
            "it was not written to its end: nothing more has been logged yet, or the process was killed",
        )
    return None


def _value_run(
    value: Any, path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun | None:
    """A JSON value that is a log, holds one somewhere, or is the only line of one."""
    if isinstance(value, dict) and isinstance(value.get("log_history"), list):
        return trainer_state.state_run(value, path, columns, problems=problems)
    found = list(_tables(value))
    rows = next((one for one in found if table.has_loss(one)), found[0] if found else None)
    if rows is not None:
        return table.table_run(rows, path, "JSON", columns, problems=problems)
    return _rows_run([value], path, columns, problems) if isinstance(value, dict) and value else None


def _tables(value: Any, depth: int = 0) -> Iterator[list[dict[str, Any]]]:
    """Everything in a JSON value that may be the rows of a table, the outermost first."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        yield value
    elif isinstance(value, dict) and depth < _DEEPEST:
        rows = table.columns_as_rows(value)
        if rows is not None:
            yield rows
        for inner in value.values():
            yield from _tables(inner, depth + 1)


def _lines_run(
    content: str, path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun | None:
    lines = lines_of(content)
    entries, broken = _decoded_lines(lines)
    if not entries:
        return None
    if broken == [len(lines)]:
        problems.append(
            "the last line is cut: it was passed over, the file is still being written or was cut"
        )
    elif broken:
        problems.append(
            f"line {broken[0]:,} is no JSON and was passed over"
            if len(broken) == 1
            else f"{len(broken):,} lines are no JSON and were passed over, the first is line {broken[0]:,}"
        )
    return _rows_run(entries, path, columns, problems)


def _decoded_lines(lines: list[str]) -> tuple[list[dict[str, Any]], list[int]]:
    """The objects of lines of JSON, and the numbers of the lines that are none."""
    try:  # all at once, which takes a third of the time
        told = [line for line in lines if line.strip()]
        values = json_value(f"[{','.join(told)}]")
        if len(values) == len(told):  # else two broken lines made one whole value between them
            return [one for one in values if isinstance(one, dict)], []
    except (ValueError, RecursionError):
        pass
    entries: list[dict[str, Any]] = []
    broken: list[int] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json_value(line)
        except (ValueError, RecursionError):
            broken.append(number)
            if len(broken) > max(3, len(entries)):
                return [], broken  # not lines of JSON, but text that begins with a brace
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries, broken


def _rows_run(
    entries: list[dict[str, Any]], path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun:
    if callback_log.is_callback_log(entries):
        return callback_log.callback_log_run(entries, path, columns, problems=problems)
    if trainer_log.is_trainer_log(entries):
        return trainer_log.trainer_log_run(entries, path, columns, problems=problems)
    return table.table_run(entries, path, "JSONL", columns, problems=problems)
