"""`lorascope watch`."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorascope.cli.display import duration
from lorascope.cli.options import ColumnOption, columns_of
from lorascope.errors import RunError

if TYPE_CHECKING:
    from lorascope.diagnose.glimpse import Glimpse

_SHARE = 0.01 * (os.cpu_count() or 1)  # of one core: looking costs at most 1 % of the machine
_ROWS_SHOWN = 6
_LONGEST_NAME = 30
_CURVE_ROWS = 12


def watch(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run folder whose training goes on, or a log that is being written.", metavar="RUN|LOG"
        ),
    ],
    every: Annotated[float, typer.Option(help="Seconds between looks.", min=0.1)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
    column: ColumnOption = None,
) -> None:
    """Follow a training from another terminal: curves, verdict, speed and time left.

    On a terminal one screen that follows its size; in a file or a pipe one line for each evaluation. Ends
    with the training, or with Ctrl-C, which leaves the training alone. Looks less often where a log takes
    long to read, so that it costs at most 1 % of the machine.
    """
    from lorascope.diagnose.glimpse import glimpse, is_over

    columns, path = columns_of(column or []), path.expanduser()
    seen = glimpse(path, columns)  # a wrong path is told at once, and not waited for
    if sys.stdout.isatty() and not once:
        _follow(path, columns, every, seen)
        return
    before = None
    while True:
        _plain(seen, before)
        if once or is_over(seen):
            for line in _ending(seen):
                typer.echo(line)
            return
        before, seen = seen, _look_again(path, columns, every, seen)


def _look_again(path: Path, columns: dict[str, str], every: float, before: "Glimpse") -> "Glimpse":
    """Wait, then look; a log caught in the middle of a write stays as it was seen before."""
    from lorascope.diagnose.glimpse import glimpse

    started, worked = time.monotonic(), time.process_time()
    try:
        seen = glimpse(path, columns)
    except RunError:
        seen = before
    took, work = (
        time.monotonic() - started,
        time.process_time() - worked,
    )  # a busy machine stretches the first
    time.sleep(max(every - took, work / _SHARE if work > _SHARE * every else 0.0))
    return seen


def _follow(path: Path, columns: dict[str, str], every: float, seen: "Glimpse") -> None:
    from rich.console import Console
    from rich.live import Live

    from lorascope.diagnose.glimpse import is_over

    screen = _Screen(seen)
    with Live(screen, console=Console(), refresh_per_second=4, screen=True) as live:
        while not is_over(screen.seen):
            screen.seen = _look_again(path, columns, every, screen.seen)
            live.refresh()
    for line in [*screen_lines(screen.seen, *shutil.get_terminal_size(), colour=True), *_ending(screen.seen)]:
        typer.echo(line)


class _Screen:
    """What rich draws, anew at each refresh, so that it follows the terminal's size."""

    def __init__(self, seen: "Glimpse") -> None:
        self.seen = seen

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        for line in screen_lines(self.seen, options.max_width, options.size.height, colour=True):
            yield Text.from_ansi(line, no_wrap=True, overflow="crop")


def screen_lines(seen: "Glimpse", width: int, height: int, *, colour: bool) -> list[str]:
    """The whole screen as lines.

    Args:
        seen: What is known.
        width: Columns of the terminal.
        height: Its lines; the drawing takes what the rest leaves.
        colour: Whether to colour the curves.
    """
    from lorascope.cli.curves import curve_lines

    lines = [*_wrapped(_headline(seen), width), *_wrapped(_verdict(seen), width)]
    table = _table(seen, width)
    room = height - len(lines) - len(table) - 7
    curves = [
        ("t", seen.train.tolist()),
        ("p", [(one.step, one.probe) for one in seen.moments if one.probe is not None]),
        ("v", [(one.step, one.validation) for one in seen.moments if one.validation is not None]),
    ]
    drawn = [(letter, points) for letter, points in curves if len(points) > 1]
    drawing: list[str] = []
    if drawn and room >= 4:
        names = {"t": "training steps", "p": "train probe", "v": "validation"}
        legend = ", ".join(f"{letter} {names[letter]}" for letter, _ in drawn)
        drawing = [
            "",
            f"loss by step: {legend}",
            *curve_lines(drawn, width=min(width, 110), height=min(room, _CURVE_ROWS), colour=colour),
        ]
    shown = [*lines, *table, *drawing][:height]
    return [line if len(line) <= width or "\x1b" in line else line[:width] for line in shown]


def _trained_on(seen: "Glimpse") -> str:
    """What the losses beside those of validation are: of a log, the training points before them."""
    return "train probe" if seen.of_run else "training"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _headline(seen: "Glimpse") -> str:
    if seen.state == "waiting":
        return f"{seen.name}: waiting, {seen.reason}"
    of = f" of {seen.num_steps:,}" if seen.num_steps else ""
    name = seen.name if len(seen.name) <= _LONGEST_NAME else Path(seen.name).name
    parts = [f"{name}: step {seen.step:,}{of}"]
    if seen.epoch is not None:
        parts.append(f"epoch {seen.epoch:.2f}")
    if seen.loss is not None:
        parts.append(f"loss {seen.loss:.3f}")
    if seen.target_tokens_per_s is not None:
        speed = f"{seen.target_tokens_per_s:,.0f} target tokens/s"
        if seen.usual_tokens_per_s:
            speed += f" ({seen.target_tokens_per_s / seen.usual_tokens_per_s:.0%} of its usual)"
        parts.append(speed)
    if seen.seconds_left is not None:
        parts.append(f"{duration(seen.seconds_left)} left")
    elif seen.state in ("finished", "failed"):
        parts.append(seen.state)
    return ", ".join(parts)


def _verdict(seen: "Glimpse") -> str:
    health = "" if seen.health is None else f" (health {seen.health})"
    return f"verdict: {seen.verdict.replace('_', ' ')}{health} - {seen.reason}"


def _table(seen: "Glimpse", width: int) -> list[str]:
    if not seen.moments:
        return []
    rows: list[tuple[str, str, str]] = [("step", _trained_on(seen), "validation")]
    for one in seen.moments[-_ROWS_SHOWN:]:
        cells = [
            "-" if loss is None else _loss(seen, loss) if width >= 60 else f"{loss:.3f}"
            for loss in (one.probe, one.validation)
        ]
        rows.append((f"{one.step:,}", cells[0], cells[1]))
    return ["", *(f"{step:>9}  {probe:<22}  {validation}".rstrip() for step, probe, validation in rows)]


def _loss(seen: "Glimpse", loss: float) -> str:
    """A loss, with its perplexity where it is one of tokens."""
    from lorascope.cli.display import loss_and_perplexity

    return loss_and_perplexity(loss) if seen.of_tokens else f"{loss:.3f}"


def _plain(seen: "Glimpse", before: "Glimpse | None") -> None:
    """One line for each evaluation that was not seen before, and one where the verdict changed."""
    if before is None and seen.state == "waiting":
        typer.echo(_headline(seen))
    known = {one.step for one in before.moments} if before is not None else set()
    for one in seen.moments:
        if one.step in known:
            continue
        told = [
            f"{name} {_loss(seen, loss)}"
            for name, loss in ((_trained_on(seen), one.probe), ("validation", one.validation))
            if loss is not None
        ]
        typer.echo(f"step {one.step:,}: {', '.join(told)}")
    told_before = None if before is None or before.state == "waiting" else before.verdict
    if seen.state != "waiting" and seen.verdict != told_before:
        typer.echo(f"step {seen.step:,}: {_verdict(seen)}")


def _ending(seen: "Glimpse") -> list[str]:
    if seen.state == "waiting":
        return [_headline(seen)]
    return [f"{_headline(seen)}", f"next: lorascope diagnose {seen.name}"]
