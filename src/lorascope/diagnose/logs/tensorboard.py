"""TensorBoard event files, one or a folder of them -> `LoggedRun`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs.curve import Facts, LoggedRun
from lorascope.diagnose.logs.damage import damage_told
from lorascope.diagnose.logs.event_file import Value, values_of
from lorascope.diagnose.logs.faults import nothing_logged
from lorascope.diagnose.logs.names import EVAL_WORDS
from lorascope.diagnose.logs.numbers import as_count, as_number
from lorascope.diagnose.logs.points import logged_run

FORM = "TensorBoard event file"
PATTERN = "*tfevents*"

_TRAIN_FOLDERS = ("train", "training")
_ARGUMENTS = "args/text_summary"  # where transformers puts its TrainingArguments
_WRITTEN = re.compile(r"tfevents\.(\d+)")


def event_run(data: bytes, path: Path, given: Mapping[str, str] | None = None) -> LoggedRun:
    """Read one file.

    Args:
        data: All of its bytes.
        path: Its name, for messages.
        given: Quantity -> tag where it is not to be guessed.

    Raises:
        RunError: It holds no loss, or no whole record.
    """
    return _run([(path, data)], path, given, [])


def event_folder_run(folder: Path, given: Mapping[str, str] | None = None) -> LoggedRun:
    """Read the event files of a folder and of the folders in it as one run.

    Files beside each other are one run, cut where training was resumed or was evaluated afterwards; "train"
    and "validation" beside each other are the two halves that Keras writes. Of several runs the newest is
    read.

    Args:
        folder: Holds at least one event file, at any depth.
        given: Quantity -> tag where it is not to be guessed.

    Raises:
        RunError: No file of it holds a loss.
    """
    runs: dict[Path, list[Path]] = {}
    for file in sorted(folder.rglob(PATTERN), key=written):
        is_half = file.parent != folder and file.parent.name.lower() in (*_TRAIN_FOLDERS, *EVAL_WORDS)
        runs.setdefault(file.parent.parent if is_half else file.parent, []).append(file)
    with_loss = {place: files for place, files in runs.items() if any(_has_loss(file) for file in files)}
    problems: list[str] = []
    place = max(with_loss or runs, key=lambda one: written(runs[one][-1]))
    if len(with_loss) > 1:
        others = ", ".join(str(one.relative_to(folder)) for one in with_loss if one != place)
        problems.append(
            f"the folder holds {len(with_loss)} runs: the newest, {place}, was read, not {others}"
        )
    return _run([(file, file.read_bytes()) for file in runs[place]], place, given, problems)


def written(path: Path) -> tuple[int, str]:
    """When a file was begun, by its name: seconds since 1970, and the name for those of one second."""
    seconds = _WRITTEN.search(path.name)
    return (int(seconds[1]) if seconds else 0), path.name


def _run(
    files: Sequence[tuple[Path, bytes]], path: Path, given: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun:
    values: list[Value] = []
    halves = (*_TRAIN_FOLDERS, *EVAL_WORDS)
    for file, data in files:
        found, passed_over = values_of(data)
        problems += damage_told(file.name, passed_over, len(data), len(found), "value")
        half = file.parent.name if path.is_dir() and file.parent.name.lower() in halves else ""
        values += [Value(one.step, f"{half}/{one.tag}", one.value) for one in found] if half else found
    if not values:
        raise nothing_logged(
            path, "the event file holds no value", "nothing was logged, or its first record is damaged"
        )
    if len(files) > 1:
        problems.append(f"{len(files)} event files were read as one run")
    entries = _entries(one for one in values if not isinstance(one.value, str))
    texts = (one.value for one in values if isinstance(one.value, str) and one.tag == _ARGUMENTS)
    return logged_run(
        entries, path=path, form=FORM, facts=_facts(next(texts, "")), given=given, problems=problems
    )


def _entries(scalars: Iterable[Value]) -> list[dict[str, Any]]:
    """Values side by side -> one entry for each call that logged them: same step, no tag twice."""
    entries: list[dict[str, Any]] = []
    for one in scalars:
        if not entries or entries[-1]["step"] != one.step or one.tag in entries[-1]:
            entries.append({"step": one.step})
        entries[-1].setdefault(one.tag, one.value)
    return entries


def _has_loss(file: Path) -> bool:
    return any(
        "loss" in one.tag.lower() or "ppl" in one.tag.lower() for one in values_of(file.read_bytes())[0]
    )


def _facts(arguments: str) -> Facts:
    try:
        told = json.loads(arguments)
    except ValueError:
        return Facts()
    if not isinstance(told, dict):
        return Facts()

    def count(name: str) -> int | None:
        value = as_count(told.get(name))
        return value if value is not None and value >= 1 else None

    logs, saves = told.get("logging_strategy") == "steps", told.get("save_strategy") == "steps"
    evaluates = "steps" in (told.get("eval_strategy"), told.get("evaluation_strategy"))
    return Facts(
        max_steps=count("max_steps"),
        num_epochs=as_number(told.get("num_train_epochs")),
        logging_steps=count("logging_steps") if logs else None,
        eval_steps=count("eval_steps") if evaluates else None,
        save_steps=count("save_steps") if saves else None,
    )
