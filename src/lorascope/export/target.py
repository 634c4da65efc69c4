"""Where a merged model may go: a folder of its own, never on top of foreign files, with room on the disk."""

import json
import shlex
import shutil
from pathlib import Path

from lorascope.errors import RunError, explain
from lorascope.run.commit import MANIFEST
from lorascope.run.folder import STAGES, RunFolder

PROOF = "lorascope_proof.json"
"""What marks a folder as an export of ours, beside its manifest."""

_SPARE_BYTES = 64 * 2**20  # tokenizer, card, manifest and what else writes to this disk meanwhile


def holds_export(run: RunFolder, target: Path) -> bool:
    """Decide whether a folder may take the merged model.

    Args:
        run: The run that is exported.
        target: The folder asked for.

    Returns:
        True when it holds an earlier export of ours and nothing else; False when it is absent or empty.

    Raises:
        RunError: It is a file, lies inside a stage of the run, or holds files that no export wrote.
    """
    resolved = target.expanduser().resolve()
    for stage in STAGES:
        folder = run.stage(stage).resolve()
        if resolved == folder or folder in resolved.parents:
            raise _refusal(
                f'"{target}" lies inside the stage folder {run.stage(stage)}',
                target,
                "that folder is replaced whole whenever its stage runs again, and the model with it",
                f"choose a folder of its own, as in --merged {shlex.quote(str(run.path / 'merged'))}",
            )
    if not resolved.exists():
        return False
    if not resolved.is_dir():
        raise _refusal(
            f'"{target}" is a file', target, "a model is a folder of files", "choose another --merged"
        )
    foreign = _foreign_files(resolved)
    if foreign:
        shown = ", ".join(foreign[:4]) + (f", ... ({len(foreign) - 4} more)" if len(foreign) > 4 else "")
        raise _refusal(
            f'"{target}" holds files that no export of ours wrote: {shown}',
            target,
            "a merged model replaces its folder whole, and files of yours would go with it",
            "choose another --merged, or move these files away",
        )
    return (resolved / PROOF).is_file()


def _foreign_files(folder: Path) -> list[str]:
    """Files below a folder that are not in the manifest of an export, sorted."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if PROOF not in found or MANIFEST not in found:
        return sorted(found)
    try:
        listed = set(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return sorted(found)
    return sorted(found - listed - {MANIFEST})


def refuse_full_disk(target: Path, num_bytes: int) -> None:
    """Insist that the weights fit on the disk of a folder before hours go into writing half of them.

    Args:
        target: The folder; it need not exist.
        num_bytes: Of the weights to be written. An export that is there already stays until the new one is
            whole.

    Raises:
        RunError: There is too little room.
    """
    parent = target.expanduser().resolve()
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if free < num_bytes + _SPARE_BYTES:
        raise _refusal(
            f"the merged model needs {_gib(num_bytes + _SPARE_BYTES)} GiB, {_gib(free)} GiB are free",
            target,
            "the disk would be full before the model is whole",
            "free space, choose --merged on another disk, or --dtype bf16 for half the size",
        )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.2f}"


def _refusal(problem: str, target: Path, why: str, fix: str) -> RunError:
    return RunError(explain(problem, where=str(target), why=why, fix=fix))
