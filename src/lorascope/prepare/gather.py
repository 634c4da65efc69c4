"""A data file -> its conversations and its bad rows, with a stop when too many are bad."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from lorascope.errors import DataError, explain
from lorascope.prepare.read import BadRow, SourceRow, read_rows, unusual_delimiter
from lorascope.prepare.rows import READ_COLUMNS, Conversation, conversation_of, detect_shape
from lorascope.run.progress import Observer

_ROWS_TO_DETECT = 50
_FEW = 10  # so many malformed rows are listed but never stop a run, whatever their share


@dataclass(slots=True)
class Gathered:
    """What a file held.

    Attributes:
        file: Its name.
        shape: "alpaca" or "messages".
        conversations: Its usable rows, in order.
        bad: Its malformed rows.
        unused: Columns that nothing is learnt from.
    """

    file: str
    shape: str
    conversations: list[Conversation] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    unused: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        """Rows read, good and bad."""
        return len(self.conversations) + len(self.bad)


def gather(path: Path, observer: Observer, *, name: str | None = None) -> Gathered:
    """Read a data file.

    Args:
        path: The file.
        observer: Told about progress.
        name: What to call it in example ids; its file name where None.

    Raises:
        DataError: It cannot be read, no row of it can, or its columns are not known.
    """
    rows = read_rows(path)
    delimiter = unusual_delimiter(path)
    if delimiter:
        observer.note(f"note: the columns of {path.name} are separated by {delimiter}, and read so")
    first = list(islice(rows, _ROWS_TO_DETECT))
    columns = {
        name
        for row in first
        if isinstance(row, SourceRow) and isinstance(row.value, dict)
        for name in row.value
    }
    if not columns and first:
        columns_problem(path, first)
    if not first:
        raise DataError(
            explain(
                f'"{path.name}" holds no rows',
                where=str(path),
                why="there is nothing to learn from an empty file",
                fix="give a file with at least a few examples",
            )
        )
    file = name or path.name
    gathered = Gathered(file, detect_shape(columns, str(path)))
    gathered.unused = tuple(sorted(columns - READ_COLUMNS[gathered.shape]))
    with observer.task(f"reading {path.name}", 0, "rows") as advance:
        for number, row in enumerate(chain(first, rows), start=1):
            read = row if isinstance(row, BadRow) else conversation_of(row, gathered.shape, file, number)
            if isinstance(read, BadRow):
                gathered.bad.append(replace(read, row=number))
            else:
                gathered.conversations.append(read)
            advance(1)
    return gathered


def columns_problem(path: Path, first: Sequence[SourceRow | BadRow]) -> None:
    """Stop where not one of the first rows is an object with columns.

    Raises:
        DataError: Always; it shows the first row.
    """
    row = first[0]
    shown = row.excerpt if isinstance(row, BadRow) else repr(row.value)[:80]
    kinds = sorted({one.reason if isinstance(one, BadRow) else type(one.value).__name__ for one in first})
    raise DataError(
        explain(
            f'"{path.name}" holds no rows with named columns',
            where=f"{path}, line {row.line}: {shown}",
            why=f"the first {len(first)} rows are: {', '.join(kinds)}",
            fix='each row must be an object such as {"instruction": ..., "output": ...}',
        )
    )


def refuse_too_many_bad(gathered: Gathered, bad: Sequence[BadRow], max_dropped: float, path: Path) -> None:
    """Stop when malformed rows pass the limit.

    Raises:
        DataError: More than 10 rows and more than `max_dropped` of all are malformed, or none is usable.
    """
    num = gathered.num_rows
    if len(bad) < num and (len(bad) <= _FEW or len(bad) <= max_dropped * num):
        return
    reasons = ", ".join(
        f"{reason} {count:,}" for reason, count in Counter(one.reason for one in bad).most_common(6)
    )
    raise DataError(
        explain(
            f"{len(bad):,} of {num:,} rows are malformed: {reasons}",
            where=f"{path}; the first is row {bad[0].row} at line {bad[0].line}: {bad[0].excerpt}",
            why=f"prepare.max_dropped accepts {max_dropped:.2%}, and rows that vanish change what is learned"
            if len(bad) < num
            else "none of the rows can be used",
            fix="mend the rows"
            + (", or accept the loss on record: --set prepare.max_dropped=1" if len(bad) < num else ""),
        )
    )
