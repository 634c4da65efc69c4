"""How a terminal, a file or nobody sees a stage at work: progress on stderr, results on stdout."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer

from lorascope.run.progress import Observer

_SHOW_AFTER_S = 1.0
_PLAIN_EVERY_S = 10.0


def print_json(value: Mapping[str, Any]) -> None:
    """Print a result for programs: one JSON object on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def next_step(command: str) -> None:
    """Suggest the next command."""
    typer.echo(f"next: {command}")


def thousands(number: int) -> str:
    """Write a count with separators."""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """Write a duration as people say it: 48 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class TerminalObserver(Observer):
    """Shows progress on stderr: a live bar on a terminal, a plain line now and then in a file.

    Work that takes less than a second shows nothing.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Print one line."""
        typer.echo(text, err=True)

    @contextlib.contextmanager
    def task(self, what: str, total: int, unit: str, *, already: int = 0) -> Iterator[Callable[[int], None]]:
        """Show how far the work is, its rate and the time left."""
        meter = Meter(what, total, unit, live=self.live, already=already)
        try:
            yield meter.advance
        finally:
            meter.close()


class TrainingObserver(TerminalObserver):
    """Shows training: the last step's loss in the progress line, and a table row per evaluation.

    Loss and perplexity of the train probe and of validation stand side by side, and in words.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meter: Meter | None = None
        self.headed = False
        self.verdict, self.told = "", ""

    @contextlib.contextmanager
    def task(self, what: str, total: int, unit: str, *, already: int = 0) -> Iterator[Callable[[int], None]]:
        """Show how far the training is."""
        self.meter = Meter(what, total, unit, live=self.live, already=already)
        try:
            yield self.meter.advance
        finally:
            self.meter.close()
            self.meter = None

    def note(self, text: str) -> None:
        """Print one line above the progress line."""
        if self.meter:
            self.meter.clear()
        super().note(text)

    def step(self, record: Any) -> None:
        """Show a step's loss and the rate of target tokens."""
        if self.meter:
            rate = record.target_tokens / record.seconds if record.seconds else 0.0
            loss = "not finite" if record.loss is None else f"{record.loss:.3f}"
            self.meter.detail = f", loss {loss}, {rate:,.0f} target tokens/s"

    def evaluation(self, record: Any) -> None:
        """Print an evaluation."""
        narrow = self.live and shutil.get_terminal_size().columns < _NARROW
        if not self.headed:
            self.headed = True
            self.note(_NARROW_HEADING if narrow else _HEADING)
        self.note(_narrow_row(record) if narrow else _wide_row(record))

    def judgement(self, found: Any) -> None:
        """Print the verdict where it is another than before, and the last one where its reason is."""
        text = f"verdict: {found.verdict.replace('_', ' ')} - {found.reason}"
        is_new = found.verdict not in (self.verdict, "not_enough_evidence")
        if is_new or (found.is_last and text != self.told):
            self.verdict, self.told = found.verdict, text
            self.note(f"        {text}")


_WIDTHS = (6, 6, 22, 22, 18, 0)  # 22 holds a loss of two digits with its perplexity, "10.852 (ppl 51,637)"
_NARROW = 112  # columns that the whole table takes
_NARROW_HEADING = "  step   probe  validation"


def _row(*cells: str) -> str:
    """A line of the table of evaluations; step and epoch stand right, so that they line up."""
    padded = [
        cell.rjust(width) if index < 2 else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=False))
    ]
    return "  ".join(padded).rstrip()


_HEADING = _row("step", "epoch", "train probe", "validation", "95 % interval", "like choosing among")


def _wide_row(record: Any) -> str:
    from lorascope.metrics.in_words import among_tokens

    probe, validation = record.probe, record.validation
    shown = [f"{record.step:,}", f"{record.epoch:.2f}", loss_and_perplexity(probe.loss)]
    if validation is None:
        return _row(*shown, "no validation split")
    low_high = "" if validation.low is None else f"{validation.low:.3f} to {validation.high:.3f}"
    words = among_tokens(validation.loss, record.vocabulary_size)
    return _row(*shown, loss_and_perplexity(validation.loss), low_high, words)


def _narrow_row(record: Any) -> str:
    """The same for a narrow terminal: what does not fit there is in train/evals.jsonl."""
    validation = record.validation
    told = "none" if validation is None else loss_and_perplexity(validation.loss)
    return f"{record.step:>6,}  {record.probe.loss:6.3f}  {told}"


def loss_and_perplexity(loss: float) -> str:
    """Write a loss with its perplexity: "2.158 (ppl 8.65)"."""
    from lorascope.errors import UndefinedMetric
    from lorascope.metrics.likelihood import perplexity

    try:
        value = perplexity(loss)
    except UndefinedMetric:
        return f"{loss:.3f} (ppl too large)"
    return f"{loss:.3f} (ppl {value:,.2f})" if value < 10_000 else f"{loss:.3f} (ppl {value:.3g})"


def _rate(per_second: float) -> str:
    """Write a rate as people say it: 1,200/s, or 47 s each."""
    return f"{1 / per_second:,.3g} s each" if 0 < per_second < 0.5 else f"{per_second:,.4g}/s"


class Meter:
    """Rate and time left of one piece of work.

    Args:
        what: The work, as in "tokenising".
        total: Its size; 0 where it is not known.
        unit: Plural name of a unit.
        live: Whether the line may be redrawn in place.
        already: Units done before, which say nothing about the rate.
    """

    def __init__(self, what: str, total: int, unit: str, *, live: bool, already: int = 0) -> None:
        self.what, self.total, self.unit, self.live, self.already = what, total, unit, live, already
        self.done, self.detail = already, ""
        self.started = self.shown = time.monotonic()
        self.width = 0

    def advance(self, done: int) -> None:
        """Count units just done, and show it when enough time has passed."""
        self.done += done
        now = time.monotonic()
        pause = 0.1 if self.live else _PLAIN_EVERY_S
        if now - self.started >= _SHOW_AFTER_S and now - self.shown >= pause:
            self.shown = now
            self.show()

    def line(self, *, bar: bool = True) -> str:
        """The state in one line, with or without a drawn bar."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        rate = (self.done - self.already) / elapsed
        if not self.total:
            return f"{self.what}: {self.done:,} {self.unit}, {_rate(rate)}"
        left = duration((self.total - self.done) / rate) if rate > 0 and self.total > self.done else "0 s"
        share = min(1.0, self.done / self.total)
        drawn = "[" + "#" * round(20 * share) + "." * (20 - round(20 * share)) + "] " if bar else ""
        counts = f"{self.done:,}/{self.total:,} {self.unit}"
        return f"{self.what} {drawn}{counts}, {_rate(rate)}, {left} left{self.detail}"

    def show(self) -> None:
        """Write the line, over the last one where the terminal allows."""
        text = self.line()
        if not self.live:
            typer.echo(text, err=True)
            return
        room = shutil.get_terminal_size().columns - 1
        text = (text if len(text) <= room else self.line(bar=False))[:room]
        sys.stderr.write("\r" + text.ljust(self.width))
        sys.stderr.flush()
        self.width = len(text)

    def clear(self) -> None:
        """Take a live line away, so that something else can be printed."""
        if self.live and self.width:
            sys.stderr.write("\r" + " " * self.width + "\r")
            sys.stderr.flush()
            self.width = 0

    def close(self) -> None:
        """End the work."""
        self.clear()
