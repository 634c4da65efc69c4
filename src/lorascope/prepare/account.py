"""What became of the rows of a file, and the stop when too many of them are malformed."""

from collections import Counter
from dataclasses import dataclass, field

from lorascope.errors import DataError, explain
from lorascope.prepare.read import BadRow
from lorascope.prepare.work import Worked

_FEW = 10  # so many malformed rows are listed but do not stop a run, unless they are more than half of it


@dataclass(slots=True)
class Account:
    """Counts of one file.

    Attributes:
        num_rows: Rows read.
        num_examples: Examples they gave.
        num_bad: Malformed rows.
        reasons: Malformed rows by reason.
        first_bad: The first of them.
        tally: As of `work.Worked`.
    """

    num_rows: int = 0
    num_examples: int = 0
    num_bad: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_bad: BadRow | None = None
    tally: Counter[str] = field(default_factory=Counter)

    def add(self, worked: Worked) -> None:
        """Count some more rows."""
        self.num_rows += worked.num_rows
        self.num_examples += len(worked.facts)
        self.num_bad += len(worked.bad)
        self.reasons.update(one.reason for one in worked.bad)
        self.tally.update(worked.tally)
        if self.first_bad is None and worked.bad:
            self.first_bad = worked.bad[0]


def refuse_too_many_bad(account: Account, max_dropped: float, path: str) -> None:
    """Stop when malformed rows pass the limit.

    Raises:
        DataError: More than `max_dropped` of all rows are malformed, and more than 10 or more than half of
            them; or none is usable.
    """
    num, bad, first = account.num_rows, account.num_bad, account.first_bad
    accepted = max(max_dropped * num, min(_FEW, num / 2))
    if account.num_examples and (first is None or bad <= accepted):
        return
    if first is None:
        raise _none_chosen(account, path)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in account.reasons.most_common(6))
    raise DataError(
        explain(
            f"{bad:,} of {num:,} rows are malformed: {reasons}",
            where=f"{path}; the first is row {first.row}{_at_line(first)}: {first.excerpt}",
            why=f"prepare.max_dropped accepts {max_dropped:.2%}, and rows that vanish change what is learned"
            if account.num_examples
            else "none of the rows can be used",
            fix="mend the rows"
            + (", or accept the loss on record: --set prepare.max_dropped=1" if account.num_examples else ""),
        )
    )


def _at_line(bad: BadRow) -> str:
    """Where in the file; nothing where the file has rows but no lines."""
    return "" if bad.line == bad.row else f" at line {bad.line}"


def _none_chosen(account: Account, path: str) -> DataError:
    return DataError(
        explain(
            f"none of {account.num_rows:,} rows holds an answer to imitate",
            where=path,
            why="every row says that its answer was turned down",
            fix="give data with chosen answers",
        )
    )
