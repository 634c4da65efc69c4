"""A folder -> its data files: any folder of them, or one that `datasets` saved."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import DataError, explain
from lorascope.prepare.read.faults import unreadable
from lorascope.prepare.read.files import DATA_SUFFIXES, data_suffix
from lorascope.prepare.read.splits import canonical_split, split_in_path

_ABOUT_DATA = {
    *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"),
    *("manifest.json", "config.json", "package.json"),
}
_STATE = "state.json"
_SPLITS = "dataset_dict.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a folder that hold rows.

    Attributes:
        files: Each with the split that its name tells, in the order in which they are read.
        notes: What was passed over.
        is_saved: Whether `datasets` wrote the folder.
    """

    files: tuple[tuple[Path, str | None], ...]
    notes: tuple[str, ...] = ()
    is_saved: bool = False


def list_folder(folder: Path) -> Listing:
    """Find the data files of a folder and of the folders in it, sorted by their path.

    Raises:
        DataError: It holds none, or what `datasets` saved there is not whole.
    """
    if (folder / _SPLITS).is_file():
        names = _json_of(folder / _SPLITS).get("splits", [])
        found = [(path, name) for name in names for path in _saved_files(folder / name)]
        return Listing(
            files=tuple((path, canonical_split(name) or name) for path, name in found), is_saved=True
        )
    if (folder / _STATE).is_file():
        return Listing(files=tuple((path, None) for path in _saved_files(folder)), is_saved=True)
    inside = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    data = [path for path in inside if _holds_rows(path)]
    if not data:
        raise DataError(
            explain(
                f'"{folder.name}" is a folder without data files',
                where=str(folder),
                why=f"it holds {_some(_relative(inside, folder)) or 'nothing'}",
                fix=f"name a file, or a folder with files ending in {', '.join(DATA_SUFFIXES)}",
            )
        )
    passed_over = [path for path in inside if path not in set(data)]
    notes = [f"passed over in {folder.name}: {_some(_relative(passed_over, folder))}"] if passed_over else []
    splits = [split_in_path(path.relative_to(folder).as_posix()) for path in data]
    if any(splits):  # beside a file that says what it is, the others are there to be trained on
        splits = [split or "train" for split in splits]
    return Listing(files=tuple(zip(data, splits, strict=True)), notes=tuple(notes))


def refuse_mixed_columns(columns: Sequence[tuple[str, frozenset[str]]], where: str) -> tuple[str, ...]:
    """Compare the columns of files that are read as one.

    Args:
        columns: Each file's name and the columns of its first rows.
        where: The folder.

    Returns:
        A note where some files have columns that others lack.

    Raises:
        DataError: Two files share no column.
    """
    known = [(name, names) for name, names in columns if names]
    for name, names in known[1:]:
        first, others = known[0]
        if not names & others:
            raise DataError(
                explain(
                    f'"{first}" and "{name}" have no column in common',
                    where=where,
                    why=f"the files of a folder are read alike; columns: {_some(sorted(others))} | "
                    f"{_some(sorted(names))}",
                    fix="give each as a source of its own, or move what is no data out of the folder",
                )
            )
    every = frozenset().union(*(names for _, names in known))
    shared = every.intersection(*(names for _, names in known)) if known else every
    return (f"not every file has the columns {_some(sorted(every - shared))}",) if every - shared else ()


def _saved_files(folder: Path) -> list[Path]:
    state = _json_of(folder / _STATE)
    if state.get("_indices_data_files"):
        why = "its rows are chosen by a list of their own, as old versions of datasets wrote it"
        raise unreadable(
            folder, "it was saved with indices", why, "load and save it again with today's datasets"
        )
    files = [folder / str(entry.get("filename")) for entry in state.get("_data_files") or []]
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        why = f"its state.json names {', '.join(absent[:3])}, and that is not there"
        raise unreadable(folder, "the saved dataset is not whole", why, "copy the folder again")
    return files


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = "datasets writes it beside the rows, and says in it which files they are"
        raise unreadable(path, f"{type(error).__name__}", why, "copy or save the dataset again") from error
    return found if isinstance(found, dict) else {}


def _holds_rows(path: Path) -> bool:
    is_data = data_suffix(path) in DATA_SUFFIXES and path.name.lower() not in _ABOUT_DATA
    return is_data and path.stat().st_size > 0  # Spark leaves empty files beside full ones


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)


def _relative(paths: Iterable[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
