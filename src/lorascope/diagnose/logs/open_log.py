"""A path -> the `LoggedRun` of the log that it is or holds, told by its content rather than by its name."""

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lorascope.diagnose.logs import callback_log, table, text, trainer_log, trainer_state, wandb_file
from lorascope.diagnose.logs.content import content_of
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.event_file import is_event_file
from lorascope.diagnose.logs.faults import (
    AS_HISTORY,
    missing,
    not_a_log,
    nothing_in_folder,
    nothing_logged,
    several_in_folder,
    unreadable,
    wandb_folder,
)
from lorascope.diagnose.logs.json_log import json_run
from lorascope.diagnose.logs.lines import lines_of
from lorascope.diagnose.logs.tensorboard import PATTERN, event_folder_run, event_run
from lorascope.errors import RunError

_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
_TEXT_SUFFIXES = (".log", ".out", ".txt", ".json")
_GZIP = b"\x1f\x8b"
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_NULS = re.compile(r"^\0+|\0+$|\0+(?=\r\n)", re.MULTILINE)
_UNFINISHED = re.compile(r'\{("[^}\n]*)?')  # a first line of JSON of which no object is whole
_HEAD_BYTES = 16
_LINES_LOOKED_AT = 50


def open_log(path: str | Path, columns: Mapping[str, str] | None = None) -> LoggedRun:
    """Read the log of any trainer.

    Args:
        path: A file or a pipe, or a folder that holds a file: an output or checkpoint folder of transformers,
            a folder of event files, a run folder of W&B.
        columns: Quantity ("step", "loss", "eval_loss", ...) -> its name in the file, for those that are not
            to be guessed.

    Returns:
        Its curves as logged, with the columns that were taken and everything noteworthy about the reading.

    Raises:
        RunError: There is no such path, no log in it, or no loss in the log; it is damaged from the start.
        NothingLogged: Nothing has been logged yet.
        ConfigError: `columns` names a quantity or a column that does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise missing(path)
    if path.is_dir():
        return _open_folder(path, columns)
    return _open_file(path, columns)


def _open_folder(folder: Path, columns: Mapping[str, str] | None) -> LoggedRun:
    """The most telling log of a folder: our callback's, transformers', LLaMA-Factory's, event files, any."""
    state = trainer_state.newest_state(folder)
    ours = folder / callback_log.FILE
    if ours.is_file() and ours.stat().st_size:  # every step, where the Trainer logs means over several
        run = _open_file(ours, columns)
        if state is None:
            return run
        other = f"{state.relative_to(folder)} was passed over for {ours.name}, which has every step"
        return replace(run, problems=(other, *run.problems))
    if state is not None:
        return _open_file(state, columns)
    if (folder / trainer_log.FILE).is_file():
        return _open_file(folder / trainer_log.FILE, columns)
    if next(folder.rglob(PATTERN), None) is not None:
        return event_folder_run(folder, columns)
    kept = wandb_file.run_files(folder) or wandb_file.run_files(folder / "wandb")
    if kept:
        return _open_kept_by_wandb(kept, columns)
    if (folder / wandb_file.PRINTED).is_file():
        return _open_printed_for_wandb(folder, columns)
    files = [one for one in sorted(folder.iterdir()) if one.is_file()]
    for suffixes in (_TABLE_SUFFIXES, _TEXT_SUFFIXES):
        likely = [one for one in files if one.suffix.lower() in suffixes]
        if len(likely) == 1:
            return _open_file(likely[0], columns)
        if likely:
            raise several_in_folder(folder, [one.name for one in likely])
    raise nothing_in_folder(folder, [one.name for one in folder.iterdir()])


def _open_kept_by_wandb(files: list[Path], columns: Mapping[str, str] | None) -> LoggedRun:
    """The newest of run files of W&B; what it printed, where what it logged tells no loss."""
    *others, newest = files
    try:
        run = _open_file(newest, columns)
    except RunError as unread:
        try:
            run = _open_printed_for_wandb(newest.parent, columns)
        except RunError:
            raise unread from None
    if not others:
        return run
    told = ", ".join(one.name for one in others)
    problem = (
        f"the folder holds {len(files)} run files of W&B: the newest, {newest.name}, was read, not {told}"
    )
    return replace(run, problems=(problem, *run.problems))


def _open_printed_for_wandb(folder: Path, columns: Mapping[str, str] | None) -> LoggedRun:
    """What a run of W&B printed, with a note that it is not all that it logged."""
    try:
        run = _open_file(folder / wandb_file.PRINTED, columns)
    except RunError as error:
        raise wandb_folder(folder) from error
    problem = f"no loss of W&B's own history was read, only output.log, what was printed: {AS_HISTORY}"
    return replace(run, problems=(problem, *run.problems))


def _open_file(path: Path, columns: Mapping[str, str] | None) -> LoggedRun:
    try:
        data = content_of(path)
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unreadable(
            path, f"the file cannot be read: {reason}", "it is locked, cut or damaged", "copy it again"
        ) from error
    if is_event_file(data[:_HEAD_BYTES]):
        return event_run(data, path, columns)
    if wandb_file.is_wandb_file(data[:_HEAD_BYTES]):
        return wandb_file.wandb_run(data, path, columns)
    if not data.strip():
        raise nothing_logged(path, "the file is empty", "nothing has been logged yet, or the disk was full")
    problems: list[str] = []
    content = _without_nuls(_decoded(data, problems), problems)
    del data  # a file of a million entries is 150 MB, and its text as much again
    if content.lstrip()[:1] in ("{", "["):
        found = json_run(content, path, columns, problems)
        if found is not None:
            return found
    return _open_lines(content, path, columns, problems)


def _decoded(data: bytes, problems: list[str]) -> str:
    encoding = next((one for mark, one in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        problems.append(f"some bytes are not {encoding.upper()}: they were replaced, which numbers survive")
        return data.decode(encoding, errors="replace")


def _without_nuls(content: str, problems: list[str]) -> str:
    """A text without NULs before and behind its lines, as a machine that lost its power leaves them."""
    if "\0" not in content:
        return content
    kept = _NULS.sub("", content)
    problems.append(
        f"{len(content) - len(kept):,} NUL bytes at the ends of lines were passed over: a write was cut "
        "short there, and lines may be missing"
    )
    return kept


def _open_lines(
    content: str, path: Path, columns: Mapping[str, str] | None, problems: list[str]
) -> LoggedRun:
    if _UNFINISHED.fullmatch(content):
        raise nothing_logged(path, "its first line is not finished", "it is being written, or was cut")
    head = lines_of(content[: 1 << 16])[:_LINES_LOOKED_AT]
    if table.looks_like_table(head):
        return table.delimited_run(lines_of(content), path, columns, problems=problems)
    if table.is_only_header(head):
        raise nothing_logged(
            path,
            "the table has a header and no rows yet",
            "nothing has been logged yet, or the rows were lost",
        )
    if "\0" in content[:4096]:
        raise not_a_log(path, head)
    found = text.text_run(content, path, columns, problems=problems)
    if found is None:
        raise not_a_log(path, head)
    return found
