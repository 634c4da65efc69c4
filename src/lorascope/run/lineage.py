"""Is the adapter about to be measured the one that was trained, and on the data that lies here now?"""

import hashlib
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, command, explain
from lorascope.run.commit import sha256_of, verify_folder
from lorascope.run.folder import RunFolder, adapter_of, require
from lorascope.run.provenance import stage_record
from lorascope.run.records import read_json

_LAST_AND_BEST = ("last", "best")


def prepared_data(run: RunFolder) -> dict[str, Any]:
    """Vouch for the run's dataset, texts and template: they are what prepare wrote.

    Args:
        run: A prepared run.

    Returns:
        prepare/report.json.

    Raises:
        RunError: The run is not prepared, or a file of prepare/ was changed since.
    """
    require(run.dataset, stage="prepare", run=run)
    verify_folder(run.stage("prepare"))
    return read_json(run.prepare_report)


def trained_adapter(run: RunFolder, which: str) -> Path:
    """Find the adapter that a command's --adapter means, and vouch for it where it is the run's own.

    Args:
        run: A trained run.
        which: "last", "best", or a path.

    Returns:
        Its folder.

    Raises:
        RunError: The run has no such adapter, its files were changed after training, or the data was prepared
        again
            since: validation rows may then have been trained on.
    """
    _refuse_unfinished(run, which)
    folder = adapter_of(run, which)
    if which not in _LAST_AND_BEST:
        return folder
    verify_folder(folder)
    trained = trained_dataset(run)
    if trained is not None and trained != read_json(run.prepare_report)["dataset_sha256"]:
        raise RunError(
            explain(
                "the data was prepared again after this adapter was trained",
                where=str(run.dataset),
                why="rows that are validation now may have been trained on, and every figure would flatter",
                fix=f"{command('train', run.path, '--overwrite')}, or prepare the data as it was",
            )
        )
    return folder


def _refuse_unfinished(run: RunFolder, which: str) -> None:
    if which in _LAST_AND_BEST and not run.adapter.is_dir() and any(run.checkpoints.glob("step-*")):
        raise RunError(
            explain(
                "the training of this run is not finished",
                where=str(run.stage("train")),
                why="it was interrupted, or is still going, and there is no last adapter yet",
                fix=command("train", run.path, "--resume"),
            )
        )


def recorded_base(adapter: Path | str | None) -> str | None:
    """Hash of the base that an adapter was trained on, where it lies inside a run; None where it does not."""
    folder = Path(adapter) if adapter is not None else None
    if folder is None or not folder.is_dir():
        return None
    run = RunFolder(folder.resolve().parent.parent)
    if not run.provenance.is_file():
        return None
    return trained_base(run)


def trained_base(run: RunFolder) -> str | None:
    """Hash of the base that the run was trained on; None where it is not trained."""
    found = stage_record(run, "train").get("base_sha256")
    return str(found) if found else None


def trained_dataset(run: RunFolder) -> str | None:
    """Hash of the dataset that the run was trained on; None where it is not trained."""
    found = stage_record(run, "train").get("inputs", {}).get("dataset")
    return str(found) if found else None


def adapter_hash(folder: Path) -> str:
    """Hash what an adapter does: its weights and its configuration; "missing" where they are not."""
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            return "missing"
        digest.update(sha256_of(folder / name).encode())
    return digest.hexdigest()
