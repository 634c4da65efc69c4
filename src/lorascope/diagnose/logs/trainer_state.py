"""trainer_state.json of transformers, old or new, whole or cut -> `LoggedRun`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import Facts, LoggedRun
from lorascope.diagnose.logs.cut_json import cut_told, whole_entries
from lorascope.diagnose.logs.faults import unreadable
from lorascope.diagnose.logs.json_value import sound_words
from lorascope.diagnose.logs.numbers import LARGEST_COUNT, as_count, as_number
from lorascope.diagnose.logs.points import logged_run

FILE = "trainer_state.json"
FORM = "trainer_state.json of transformers"

_HISTORY = re.compile(r'"log_history"\s*:\s*\[')
_GLOBAL_STEP = re.compile(rb'"global_step"\s*:\s*(\d+)')


def state_run(
    state: Mapping[str, Any], path: Path, given: Mapping[str, str] | None = None, *, problems: list[str]
) -> LoggedRun:
    """Read a whole file, decoded.

    Args:
        state: With "log_history"; the rest is read where it is there.
        path: The file.
        given: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far.

    Raises:
        RunError: Nothing was logged.
    """
    entries = [entry for entry in state["log_history"] if isinstance(entry, dict)]
    return logged_run(entries, path=path, form=FORM, facts=_facts(state), given=given, problems=problems)


def cut_run(
    text: str, path: Path, given: Mapping[str, str] | None = None, *, problems: list[str]
) -> LoggedRun:
    """Read what is whole of a file that ends in the middle.

    Args:
        text: With the start of "log_history".
        path: The file.
        given: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far.

    Raises:
        RunError: No entry of it is whole.
    """
    text = sound_words(text)
    start = _HISTORY.search(text)
    entries = whole_entries(text, start.end())[0] if start else []
    if not entries:
        raise unreadable(
            path,
            "the file ends before its first logged entry",
            "it was not written to its end: the disk was full, or the process was killed meanwhile",
            "give the trainer_state.json of an earlier checkpoint",
        )
    return logged_run(entries, path=path, form=FORM, given=given, problems=[*problems, cut_told(entries)])


def has_history(text: str) -> bool:
    """Whether a text holds the start of a log history, even if it is not whole."""
    return _HISTORY.search(text) is not None


def newest_state(folder: Path) -> Path | None:
    """Find the trainer_state.json that goes furthest.

    Args:
        folder: An output folder, a checkpoint folder, or one that holds checkpoint-N.

    Returns:
        Of the folder's own and that of its highest checkpoint the one with the higher global step; None where
        there is neither.
    """
    numbered = [
        (int(number[1]), one / FILE)
        for one in folder.iterdir()
        if (number := re.fullmatch(r"(?:global_step|step|checkpoint)[-_](\d+)", one.name))
        and (one / FILE).is_file()
    ]
    found = [max(numbered)[1]] if numbered else []
    if (folder / FILE).is_file():
        found.append(folder / FILE)
    return max(found, key=_global_step, default=None) if len(found) > 1 else next(iter(found), None)


def _global_step(path: Path) -> int:
    found = _GLOBAL_STEP.search(path.read_bytes())
    return int(found[1]) if found else -1


def _facts(state: Mapping[str, Any]) -> Facts:
    max_steps = _count(state.get("max_steps"))

    def every(name: str) -> int | None:
        value = as_number(state.get(name))
        if value is None or not 0 < value <= LARGEST_COUNT:
            return None
        return int(value) if value >= 1 else round(value * max_steps) if max_steps else None  # a share of all

    return Facts(
        max_steps=max_steps,
        num_epochs=as_number(state.get("num_train_epochs")),
        logging_steps=every("logging_steps"),
        eval_steps=every("eval_steps"),
        save_steps=every("save_steps"),
        best_step=_count(state.get("best_global_step"))
        or _checkpoint_number(state.get("best_model_checkpoint")),
    )


def _count(value: Any) -> int | None:
    number = as_count(value)
    return number if number is not None and number > 0 else None


def _checkpoint_number(path: Any) -> int | None:
    number = re.search(r"checkpoint-(\d+)", str(path))
    return int(number[1]) if number else None
