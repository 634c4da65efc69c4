"""`lorascope watch`."""

import dataclasses
import math
import os
import shutil
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorascope.cli.display import duration
from lorascope.cli.options import ColumnOption, columns_of
from lorascope.errors import ConfigError, RunError, command, explain

if TYPE_CHECKING:
    from lorascope.diagnose.glimpse import Glimpse

_SHARE = 0.01 * (os.cpu_count() or 1)  # of one core: looking costs at most 1 % of the machine
_LEAST_S = 0.1
_LOOKS_KEPT = 5
_LONG_SILENCE_S = 300.0
_RESUME_S = 60.0  # a resume loads its libraries before it takes the lock: some 10 s, longer from a cold disk
_RESUME_LOOK_S = 1.0  # asking for the lock reads nothing
_LONGEST_WAIT_S = ((1 << 20, 4.0), (10 << 20, 10.0))
"""Bytes of a log, and the longest wait below them: a slow look must not hide a short training."""
_WITHOUT_STEP = ("waiting", "not_begun")  # states in which there is nothing to judge
_ROWS_SHOWN = 6
_LONGEST_NAME = 30
_CURVE_ROWS = 12
_INDENT, _NO_BREAK = "  ", "\xa0"


def watch(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run folder whose training goes on, or a log that is being written.", metavar="RUN|LOG"
        ),
    ],
    every: Annotated[float, typer.Option(help="Seconds between looks, at least 0.1.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
    column: ColumnOption = None,
) -> None:
    """Follow a training from another terminal: curves, verdict, speed and time left.

    On a terminal one screen that follows its size; in a file or a pipe one line for each evaluation. Ends
    with the training, also with one that was interrupted, or with Ctrl-C, which leaves the training alone.
    A run that nobody trains when it begins to look is given 60 seconds, because a resume may be starting.
    Looks less often where a log takes long to read, so that it costs at most 1 % of the machine, but every
    5 seconds while a log is small; where nothing was written, nothing is read.
    """
    from lorascope.diagnose.glimpse import glimpse, is_over

    _refuse_restless(every)
    path = path.expanduser()
    columns = columns_of(column or [], [path])
    seen, pace = glimpse(path, columns), Pace(every)  # a wrong path is told at once, and not waited for
    if seen.state != "waiting":
        pace.note(0.0, 0.0)
    patience = Patience(0.0 if once else _RESUME_S)
    if sys.stdout.isatty() and not once:
        _follow(path, columns, pace, seen, patience)
        return
    before, told_of, judged = None, None, ""
    while True:
        judged = _plain(seen, before, judged)
        if before is None and (told := _waits(patience.left_s(seen))):
            typer.echo(f"{seen.name}: {told}")
        if not once and told_of != seen.stamp and _silent_s(seen) > _LONG_SILENCE_S:
            told_of = seen.stamp  # once in a silence
            typer.echo(_headline(seen))
        if once or (is_over(seen) and not patience.left_s(seen)):
            for line in _ending(seen, judged):
                typer.echo(line)
            return
        before, seen = seen, look_again(path, columns, pace, seen)


def _refuse_restless(every: float) -> None:
    if not _LEAST_S <= every < math.inf:
        raise ConfigError(
            explain(
                f"--every {every:g} is no time between looks",
                where="the command line",
                why=f"it is a number of seconds, {_LEAST_S:g} or more",
                fix="leave it out for 2 seconds, or look a single time: --once",
            )
        )


class Pace:
    """How long to wait before the next look, by what the last looks cost: looking stays cheap."""

    def __init__(self, every: float) -> None:
        self.every, self.took = every, 0.0
        self.costs: deque[float] = deque(maxlen=_LOOKS_KEPT)
        self.is_warm = False

    def note(self, took: float, cost: float) -> None:
        """Remember a look that has read the log.

        The first one's cost is left out: it loads the readers, which happens once in a training.

        Args:
            took: Seconds of the clock, which a busy machine stretches.
            cost: Seconds of the processor.
        """
        self.took = took
        if self.is_warm:
            self.costs.append(cost)
        self.is_warm = True

    def wait_s(self, num_bytes: int) -> float:
        """How long to wait before the next look at a log of this size, in seconds."""
        usual = statistics.median_low(self.costs) if self.costs else 0.0
        longest = next((wait for size, wait in _LONGEST_WAIT_S if num_bytes < size), math.inf)
        return max(0.0, self.every - self.took, min(usual / _SHARE, longest))


class Patience:
    """How long somebody who begins to watch a run that nobody trains waits for a resume: it may be starting.

    A training that was seen to go on is not waited for again.
    """

    def __init__(self, wait_s: float) -> None:
        self.until = time.monotonic() + wait_s

    def left_s(self, seen: "Glimpse") -> float:
        """Seconds that are left to wait; 0 where there is nothing to wait for."""
        from lorascope.diagnose.glimpse import may_be_resumed

        if not may_be_resumed(seen):
            self.until = -math.inf
        return max(0.0, self.until - time.monotonic())


def look_again(path: Path, columns: dict[str, str], pace: Pace, before: "Glimpse") -> "Glimpse":
    """Wait, then look; a log caught in the middle of a write stays as it was seen before."""
    from lorascope.diagnose.glimpse import glimpse, is_over

    wait_s = pace.wait_s(before.stamp.num_bytes)
    time.sleep(min(wait_s, _RESUME_LOOK_S) if is_over(before) else wait_s)
    started, worked = time.monotonic(), time.process_time()
    try:
        seen = glimpse(path, columns, before)
    except RunError:
        seen = dataclasses.replace(before)  # another object: reading it has cost what reading costs
    if seen is before or seen.state == "waiting":
        pace.took = time.monotonic() - started
    else:
        pace.note(time.monotonic() - started, time.process_time() - worked)
    return seen


def _follow(path: Path, columns: dict[str, str], pace: Pace, seen: "Glimpse", patience: Patience) -> None:
    from rich.console import Console
    from rich.live import Live

    from lorascope.diagnose.glimpse import is_over

    screen = _Screen(seen, patience)
    with Live(screen, console=Console(), refresh_per_second=4, screen=True) as live:
        while not is_over(screen.seen) or patience.left_s(screen.seen):
            screen.seen = look_again(path, columns, pace, screen.seen)
            live.refresh()
    for line in [*screen_lines(screen.seen, *shutil.get_terminal_size(), colour=True), _next(screen.seen)]:
        typer.echo(line)


class _Screen:
    """What rich draws, anew at each refresh, so that it follows the terminal's size."""

    def __init__(self, seen: "Glimpse", patience: Patience) -> None:
        self.seen, self.patience = seen, patience

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        left_s = self.patience.left_s(self.seen)
        for line in screen_lines(
            self.seen, options.max_width, options.size.height, colour=True, waits_s=left_s
        ):
            yield Text.from_ansi(line, no_wrap=True, overflow="crop")


def screen_lines(
    seen: "Glimpse", width: int, height: int, *, colour: bool, waits_s: float = 0.0
) -> list[str]:
    """The whole screen as lines.

    Args:
        seen: What is known.
        width: Columns of the terminal.
        height: Its lines; the drawing takes what the rest leaves.
        colour: Whether to colour the curves.
        waits_s: Seconds that a resume is still waited for.
    """
    from lorascope.cli.curves import curve_lines

    lines = _wrapped_headline(seen, width) + _wrapped(_waits(waits_s), width)
    if seen.state not in _WITHOUT_STEP:
        lines += _wrapped(_verdict(seen), width)
    lines += [line for one in seen.problems for line in _wrapped(f"note: {one}", width)]
    table = _table(seen, width)
    room = height - len(lines) - len(table) - 7
    curves = [
        ("t", seen.train.tolist()),
        # Of a log these are training points that "t" draws already.
        ("p", [(one.step, one.probe) for one in seen.moments if one.probe is not None and seen.of_run]),
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


def _silent_s(seen: "Glimpse") -> float:
    """Seconds since a log was last written to of which nobody can tell whether its training goes on."""
    from lorascope.diagnose.glimpse import is_over

    written = seen.stamp.written_s
    if written is None or seen.stamp.goes_on is not None or seen.state == "waiting" or is_over(seen):
        return 0.0
    return time.time() - written


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent=_INDENT, break_on_hyphens=False)


def _wrapped_headline(seen: "Glimpse", width: int) -> list[str]:
    """The headline, broken between its figures and not within one, such as "23 s left"."""
    text = _headline(seen)
    figures = text.split(", ")
    if max(map(len, figures)) + len(_INDENT) >= width:  # "," stays with its figure
        return _wrapped(text, width)
    whole = ", ".join(figure.replace(" ", _NO_BREAK) for figure in figures)
    return [line.replace(_NO_BREAK, " ") for line in _wrapped(whole, width)]


def _of_all(seen: "Glimpse") -> str:
    return f" of {seen.num_steps:,}" if seen.num_steps else ""


def _headline(seen: "Glimpse") -> str:
    from lorascope.diagnose.glimpse import is_over

    if seen.state == "waiting":
        return f"{seen.name}: waiting for the first step" + (f" ({seen.reason})" if seen.reason else "")
    if seen.state == "not_begun":
        return f"{seen.name}: the training ended before its first step"
    name = seen.name if len(seen.name) <= _LONGEST_NAME else Path(seen.name).name
    parts = [f"{name}: step {seen.step:,}{_of_all(seen)}"]
    if seen.epoch is not None:
        parts.append(f"epoch {seen.epoch:.2f}")
    if seen.loss is not None:
        parts.append(f"loss {seen.loss:.3f}")
    if seen.target_tokens_per_s is not None:
        speed = f"{seen.target_tokens_per_s:,.0f} target tokens/s"
        if seen.usual_tokens_per_s:
            speed += f" ({seen.target_tokens_per_s / seen.usual_tokens_per_s:.0%} of its usual)"
        parts.append(speed)
    silent = _silent_s(seen)
    if seen.seconds_left is not None and silent <= _LONG_SILENCE_S:
        parts.append(f"{duration(seen.seconds_left)} left")
    elif is_over(seen):
        parts.append(seen.state)
    if silent > _LONG_SILENCE_S:
        parts.append(f"last written to {duration(silent)} ago")
    return ", ".join(parts)


def _waits(left_s: float) -> str:
    return f"nobody trains it; waiting {math.ceil(left_s)} s for a resume" if left_s else ""


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


def _plain(seen: "Glimpse", before: "Glimpse | None", judged: str) -> str:
    """One line for each evaluation that was not seen before, and one where the verdict is another.

    Its reason alone changes with every evaluation; the last one is for `_ending`.

    Args:
        seen: What is known.
        before: What was known at the last look.
        judged: The last verdict that was told, with its reason.

    Returns:
        The last verdict that is told now.
    """
    if seen.state in _WITHOUT_STEP and (before is None or before.state != seen.state):
        typer.echo(_headline(seen))
    for note in seen.problems:
        if before is None or note not in before.problems:
            typer.echo(f"note: {note}")
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
    told_before = None if before is None or before.state in _WITHOUT_STEP else before.verdict
    if seen.state not in _WITHOUT_STEP and seen.verdict != told_before:
        judged = _verdict(seen)
        typer.echo(f"step {seen.step:,}: {judged}")
    return judged


def _ending(seen: "Glimpse", judged: str) -> list[str]:
    """What to say last; without a step that is the headline, which was said when it became so.

    Args:
        seen: What is known at the end.
        judged: The last verdict that was told; where the end has another reason or health, it is told again.
    """
    if seen.state == "waiting":
        return []
    if seen.state in _WITHOUT_STEP:
        return [_next(seen)]
    last = _verdict(seen)
    told = [] if last == judged else [f"step {seen.step:,}: {last}"]
    return [*told, _headline(seen), _next(seen)]


def _next(seen: "Glimpse") -> str:
    """The command that comes next, on a line of its own: it must not be broken where it is copied from."""
    stopped = seen.state in ("interrupted", "not_begun")
    return f"next: {command('train', seen.name, '--resume') if stopped else command('diagnose', seen.name)}"
