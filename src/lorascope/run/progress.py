"""What a stage tells whoever is watching. Stages never print; a terminal or a notebook shows these events."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.run.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the signals of a training say at one moment.

    Attributes:
        verdict: As of `diagnose`.
        reason: Its sentence.
        stop: Why training should end here; None where it should go on.
        is_last: Whether it is of the finished training, so that none will follow.
    """

    verdict: str
    reason: str
    stop: str | None = None
    is_last: bool = False


Judge = Callable[[RunFolder, Sequence[str]], Judgement]
"""Reads the signals of a run that is being trained; the names are those of `train.stop_on`."""


class Observer:
    """Receives a stage's events. This one ignores them all; a display overrides what it shows."""

    @contextlib.contextmanager
    def task(self, what: str, total: int, unit: str, *, already: int = 0) -> Iterator[Callable[[int], None]]:
        """Announce work.

        Args:
            what: The work, as in "tokenising".
            total: Its size in units; 0 where nobody knows it before.
            unit: Plural name of a unit, as in "rows".
            already: Units that were done before, by a training that is resumed.

        Yields:
            A function to call with the number of units just done.
        """
        yield lambda done: None

    def note(self, text: str) -> None:
        """Say one thing the user should know."""

    def step(self, record: Any) -> None:
        """Report an optimizer step, a `StepRecord`."""

    def evaluation(self, record: Any) -> None:
        """Report an evaluation during training, an `EvalRecord`."""

    def judgement(self, found: Judgement) -> None:
        """Report what the signals say after an evaluation, and once more of the finished training."""


SILENT = Observer()
