"""SIGINT and SIGTERM during training: finish the step, commit it, then stop with the signal's exit status."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):
    """Training was asked to stop; the last finished step is committed.

    Its `code` is the exit status, 128 + signal.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.code = 128 + number
        self.step = step


class StopRequest:
    """Remembers the first signal; a second one stops at once."""

    def __init__(self) -> None:
        self.number: int | None = None

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for SIGINT and SIGTERM; the handlers that were there come back afterwards."""
    request = StopRequest()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not in the main thread: nothing to listen for
            before[number] = signal.signal(number, request._receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
