"""lorascope.jsonl, which LorascopeCallback writes in a training by transformers or TRL -> `LoggedRun`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import Facts, LoggedRun
from lorascope.diagnose.logs.numbers import as_count, as_number
from lorascope.diagnose.logs.points import logged_run

FILE = "lorascope.jsonl"
FORM = "lorascope.jsonl of LorascopeCallback"

_STEPS, _EPOCHS = "max_steps", "num_train_epochs"


def plan_line(max_steps: int, num_epochs: float | None) -> dict[str, float | None]:
    """The line that says how long a training is to be.

    Args:
        max_steps: Optimizer steps in all.
        num_epochs: Passes over the data; None where nobody knows, as of a stream.
    """
    return {_STEPS: max_steps, _EPOCHS: num_epochs}


def is_callback_log(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a line says what is planned and nothing else; logs of before that was written are tables."""
    return any(map(_is_plan, entries))


def callback_log_run(
    entries: Sequence[Mapping[str, Any]],
    path: Path,
    given: Mapping[str, str] | None = None,
    *,
    problems: list[str],
) -> LoggedRun:
    """Read the lines of the file; of several plans, as a resumed training leaves them, the last counts.

    Args:
        entries: Its lines, decoded.
        path: The file.
        given: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far.

    Raises:
        NothingLogged: There is no step and no evaluation yet.
    """
    plan = [entry for entry in entries if _is_plan(entry)][-1]
    told = [entry for entry in entries if not _is_plan(entry)]
    facts = Facts(max_steps=as_count(plan[_STEPS]), num_epochs=as_number(plan[_EPOCHS]))
    return logged_run(told, path=path, form=FORM, facts=facts, given=given, problems=problems)


def _is_plan(entry: Mapping[str, Any]) -> bool:
    return entry.keys() == {_STEPS, _EPOCHS}
