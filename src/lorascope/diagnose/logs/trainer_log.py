"""trainer_log.jsonl of LLaMA-Factory -> `LoggedRun`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import Facts, LoggedRun
from lorascope.diagnose.logs.numbers import as_count
from lorascope.diagnose.logs.points import logged_run

FILE = "trainer_log.jsonl"
FORM = "trainer_log.jsonl of LLaMA-Factory"


def is_trainer_log(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether entries are those of LLaMA-Factory: it alone counts current and total steps."""
    return any("current_steps" in entry and "total_steps" in entry for entry in entries[:5])


def trainer_log_run(
    entries: Sequence[Mapping[str, Any]],
    path: Path,
    given: Mapping[str, str] | None = None,
    *,
    problems: list[str],
) -> LoggedRun:
    """Read the lines of the file.

    Args:
        entries: Its lines, decoded.
        path: The file.
        given: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far.

    Raises:
        RunError: Nothing was logged.
    """
    planned = [as_count(entry.get("total_steps")) for entry in entries]
    last = next((one for one in reversed(planned) if one), None)
    facts = Facts(max_steps=last)
    return logged_run(entries, path=path, form=FORM, facts=facts, given=given, problems=problems)
