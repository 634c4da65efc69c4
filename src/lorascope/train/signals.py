"""Signals during training: finish the step, commit it, then stop with the signal's exit status."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""Ctrl-C; a scheduler; a terminal that was closed; a scheduler that warns before it kills."""


class Interrupted(BaseException):
    """Training was asked to stop; the last finished step is committed.

    Its `code` is the exit status, 128 + signal.
    """

    def __init__(self, number: int, step: int = 0) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name}" + (f" after step {step}" if step else "")
        )
        self.code = 128 + number
        self.step = step


class StopRequest:
    """A signal that came, and whether it stops at once or is only remembered.

    While the model is loaded and when all steps are done there is nothing to finish: a signal stops at once.
    Between `hold` and `release` it is remembered in `number`, for the loop to look at; a second one stops at
    once there too.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._held = False
        self._step = 0

    def hold(self) -> None:
        """From here on remember a signal."""
        self._held = True

    def release(self, step: int) -> None:
        """From here on stop at once.

        Args:
            step: Steps done and committed.

        Raises:
            Interrupted: A signal came that nobody looked at.
        """
        self._held, self._step = False, step
        if self.number is not None:
            raise Interrupted(self.number, step)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        waits = self._held and self.number is None
        self.number = number
        if not waits:
            raise Interrupted(number, self._step)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for the signals that ask to stop; the handlers that were there come back afterwards.

    A signal that was ignored stays ignored: `nohup` and a shell's `&` ask for that.
    """
    request = StopRequest()
    before = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        with contextlib.suppress(ValueError):  # not in the main thread: nothing to listen for
            before[number] = signal.signal(number, request._receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
