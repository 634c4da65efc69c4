"""Results that need not be computed twice: kept under the hash of all that decides them, whole or not at all.

Deleting the folder costs time and nothing else.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lorascope.errors import RunError
from lorascope.run.commit import committed_folder, folder_problem, remove_leftovers, write_json
from lorascope.run.records import read_json

_RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What was found under some facts.

    Attributes:
        folder: Where it lies, or would lie.
        value: What was kept; None where there is nothing, or nothing that can be trusted.
        made: When, UTC.
        problem: What is wrong with it; None where nothing is, or nothing is there.
    """

    folder: Path
    value: Any = None
    made: str = ""
    problem: str | None = None


def recall(cache: Path, what: str, facts: Mapping[str, Any]) -> Recalled:
    """Look up a result.

    Args:
        cache: The folder of all results.
        what: Its kind, as in "base-scores".
        facts: All that decides it, as JSON values.
    """
    folder = _place(cache, what, facts)
    if not folder.is_dir():
        return Recalled(folder=folder)
    problem = folder_problem(folder)
    if problem is None:
        try:
            stored = read_json(folder / _RESULT)
            if stored["facts"] == json.loads(json.dumps(facts)):
                return Recalled(folder=folder, value=stored["value"], made=str(stored["made"]))
            problem = "it belongs to other inputs"
        except (RunError, KeyError):
            problem = f"{_RESULT} cannot be read"
    return Recalled(folder=folder, problem=problem)


def keep(cache: Path, what: str, facts: Mapping[str, Any], value: Any) -> None:
    """Keep a result in the place of any older one.

    Args:
        cache: The folder of all results; made where it is not there.
        what: Its kind.
        facts: All that decides it.
        value: JSON values, numbers finite.

    Raises:
        RunError: The disk refuses.
    """
    remove_leftovers(cache)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    with committed_folder(_place(cache, what, facts), replace=True) as staged:
        write_json(staged / _RESULT, {"schema": 1, "made": made, "facts": dict(facts), "value": value})


def _place(cache: Path, what: str, facts: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache / f"{what}-{digest[:16]}"
