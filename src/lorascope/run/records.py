"""The records that stages leave for each other: one line per step, one per evaluation, and JSON files."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain
from lorascope.run.commit import disk_errors, flush, write_text
from lorascope.run.folder import how_to_mend


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step, as a line of train/steps.jsonl.

    Attributes:
        step: 1 for the first.
        epoch: Passes over the data when the step was done.
        loss: Nats per target token over the whole step; None where it is not finite.
        target_tokens: Tokens it is the mean of.
        num_examples: Examples in the step.
        learning_rate: Used in the step.
        grad_norm: Length of the gradient before clipping; None where it is not finite.
        seconds: Wall clock since the previous step's end, less evaluation and saving.
        why: Why a number is None.
    """

    step: int
    epoch: float
    loss: float | None
    target_tokens: int
    num_examples: int
    learning_rate: float
    grad_norm: float | None
    seconds: float
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """The loss of one set of examples at one moment.

    Attributes:
        loss: Nats per target token.
        low: Lower end of its 95 % interval; None where too few examples allow none.
        high: Upper end.
        num_examples: Examples scored.
        target_tokens: Their target tokens.
        nll_sums: Per example, summed nats in the order of the set; what pairs two evaluations.
        num_tokens: Per example, target tokens.
        by_source: Loss of the examples of each data source, where the run has several.
    """

    loss: float
    low: float | None
    high: float | None
    num_examples: int
    target_tokens: int
    nll_sums: tuple[float, ...] = ()
    num_tokens: tuple[int, ...] = ()
    by_source: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """An evaluation during training, as a line of train/evals.jsonl.

    Attributes:
        step: Optimizer steps done; 0 is the base model.
        epoch: Passes over the data.
        full: Whether all examples of each set were scored (the last evaluation).
        precision: Of the forward pass.
        probe: The train probe: training examples scored like validation ones.
        validation: The validation split; None where there is none.
        seconds: What the evaluation took.
        vocabulary_size: Tokens the model chooses among; None in logs written before this was noted.
    """

    step: int
    epoch: float
    full: bool
    precision: str
    probe: SetScore
    validation: SetScore | None
    seconds: float
    vocabulary_size: int | None = None


def append_line(path: Path, record: Any) -> None:
    """Append one record as a JSON line that outlives a power cut.

    Args:
        path: Of the log; it may be missing.
        record: A dataclass.

    Raises:
        ValueError: A number in it is not finite, a bug here; nothing was written.
        RunError: The disk is full, or refuses the line.
    """
    with contextlib.closing(LineLog(path)) as log:
        log.append(record)
        log.to_disk()


class LineLog:
    """A JSON Lines log of one writer, open between its lines: opening it takes longer than a line.

    Its lines outlive a kill, and every reader sees them at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, record: Any) -> None:
        """Append one record, a dataclass; the file is made by the first.

        Raises:
            ValueError: A number in it is not finite, a bug here; nothing was written.
            RunError: The disk is full, or refuses the line.
        """
        line = _line(record).encode()
        with disk_errors(self.path):
            file = self._opened()
            try:
                while line:  # a nearly full disk takes part of it
                    line = line[file.write(line) :]
            except OSError:
                self.close()  # so that the next line looks whether this one was torn
                raise

    def to_disk(self) -> None:
        """Wait until all lines appended outlive a power cut: as long as a small model's step."""
        if self._file is not None:
            with disk_errors(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; the next line would open it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> FileIO:
        if self._file is not None and _is_at(self._file, self.path):
            return self._file
        self.close()  # it was moved, or another was put in its place
        file = self._file = self.path.open("a+b", buffering=0)
        if not file.tell():
            flush(self.path.parent)
        elif not _ends_a_line(file):
            file.write(b"\n")  # a kill tore the last line; the new one must not be glued to it
        return file


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _line(record: Any) -> str:
    return json.dumps(asdict(record), ensure_ascii=False, allow_nan=False) + "\n"


def _ends_a_line(file: FileIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_lines(path: Path, broken: list[int] | None = None) -> Iterator[dict[str, Any]]:
    """Read a JSON Lines log; lines that are none are passed over.

    Args:
        path: It may be missing or still be written.
        broken: Takes the numbers of the lines that were passed over, but for blank ones and for a torn last
            line, which a kill leaves and which a line that is being written looks like.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                yield value
            elif broken is not None and line.strip() and line.endswith("\n"):
                broken.append(number)


def passed_over(path: Path, broken: Sequence[int]) -> str:
    """What to say of lines that `read_lines` passed over: the file, how many, and where they begin.

    Args:
        path: A log in a stage's folder.
        broken: Their numbers, one at least.
    """
    if len(broken) == 1:
        lines, were = f"line {broken[0]:,}", "was"
    else:
        lines, were = f"{len(broken):,} lines, the first is {broken[0]:,},", "were"
    return f"{path.parent.name}/{path.name} is damaged: {lines} cannot be read and {were} passed over"


def read_steps(path: Path, broken: list[int] | None = None) -> list[StepRecord]:
    """Read train/steps.jsonl.

    Args:
        path: As of `read_lines`.
        broken: As of `read_lines`.

    Raises:
        RunError: A line is no step of ours.
    """
    with _foreign_lines(path):
        return [StepRecord(**line) for line in read_lines(path, broken)]


def read_evals(path: Path, broken: list[int] | None = None) -> list[EvalRecord]:
    """Read train/evals.jsonl.

    Args:
        path: As of `read_lines`.
        broken: As of `read_lines`.

    Raises:
        RunError: A line is no evaluation of ours.
    """
    with _foreign_lines(path):
        return [
            EvalRecord(**{**line, "probe": _score(line["probe"]), "validation": _score(line["validation"])})
            for line in read_lines(path, broken)
        ]


@contextlib.contextmanager
def _foreign_lines(path: Path) -> Iterator[None]:
    """Explain a line whose fields are not those of its record."""
    try:
        yield
    except (TypeError, KeyError) as error:
        raise RunError(
            explain(
                f'"{path.name}" holds a line that this version of lorascope did not write',
                where=str(path),
                why=str(error),
                fix="read it with the version named in provenance.json, or train again with --overwrite",
            )
        ) from error


def _score(value: dict[str, Any] | None) -> Any:
    if value is None:
        return None
    return SetScore(
        **{**value, "nll_sums": tuple(value["nll_sums"]), "num_tokens": tuple(value["num_tokens"])}
    )


def rewrite_lines(path: Path, records: list[Any]) -> None:
    """Replace a log by these records in one step; used when a resumed run cuts it back to its checkpoint."""
    write_text(path, "".join(_line(record) for record in records))


_OURS = ("report.json", "summary.json", "base.json", "adapter.json")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON record of ours.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or (path.name in _OURS and "schema" not in value):
            raise ValueError("not a record of ours")
    except (OSError, ValueError) as error:
        raise RunError(
            explain(
                f'"{path.name}" cannot be read',
                where=str(path),
                why=f"it is missing or damaged ({error.__class__.__name__})",
                fix=how_to_mend(path),
            )
        ) from error
    return value
