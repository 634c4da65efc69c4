"""The log of another trainer -> the evidence that rules look at."""

from pathlib import Path

from lorascope.diagnose.evidence import Evidence, State
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.order import standing

_WHOLE = 0.999


def log_evidence(log: LoggedRun, name: str) -> Evidence:
    """What a log says.

    Where the step goes back, what was logged at later steps before is passed over: a training resumed from a
    checkpoint did those steps again, and of several runs in one file the last is read.

    Args:
        log: As it was read.
        name: The path as the command names it.
    """
    steps, evals = log.train, log.evals
    if log.restarts:
        steps, evals = steps.where(standing(steps.step)), evals.where(standing(evals.step))
        evals = evals.where(evals.step >= steps.step[0])
    log = log.with_points(steps, evals)
    return Evidence(run=name, state=_state(log), steps=steps, log=log, adapters=_saved(log))


def _state(log: LoggedRun) -> State:
    planned = log.facts.max_steps
    if planned is None:
        return "unknown"
    return "finished" if log.last_step >= _WHOLE * planned else "unfinished"


def _saved(log: LoggedRun) -> dict[str, int]:
    """Checkpoint folders of transformers beside the log, by name, each with its step."""
    folder = log.path if log.path.is_dir() else log.path.parent
    places = (folder, folder.parent) if folder.name.startswith("checkpoint-") else (folder,)
    found: dict[str, int] = {}
    for place in places:
        for one in sorted(Path(place).glob("checkpoint-*")):
            number = one.name.removeprefix("checkpoint-")
            if one.is_dir() and number.isdigit():
                found[one.name] = int(number)
    return found
