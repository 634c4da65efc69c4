"""What a stage tells whoever is watching. Stages never print; a terminal or a notebook shows these events."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


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


SILENT = Observer()
