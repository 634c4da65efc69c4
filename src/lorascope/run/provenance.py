"""Where a run's numbers come from: versions, hashes, settings by stage; and which stage is up to date."""

import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from lorascope.errors import RunError, explain
from lorascope.run.commit import MANIFEST, sha256_of, write_json
from lorascope.run.folder import RunFolder

_PACKAGES = (
    "lorascope",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "numpy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInputs:
    """All that decides what a stage will produce.

    Attributes:
        stage: Its name.
        settings: The recipe settings it reads, as they were asked for ("auto" stays "auto").
        hashes: Name to sha256 of everything else it reads: data, base model, template, adapter.
    """

    stage: str
    settings: Mapping[str, Any]
    hashes: Mapping[str, str]


@dataclass(slots=True)
class StageClock:
    """Times a stage for its record."""

    started: float = field(default_factory=time.time)

    def seconds(self) -> float:
        """Wall-clock seconds since the stage began."""
        return round(time.time() - self.started, 3)


def read_provenance(run: RunFolder) -> dict[str, Any]:
    """Read provenance.json, or an empty record where there is none yet."""
    if not run.provenance.is_file():
        return {"schema": 1, "stages": {}}
    try:
        loaded = json.loads(run.provenance.read_text(encoding="utf-8"))
        return loaded if isinstance(loaded.get("stages"), dict) else {"schema": 1, "stages": {}}
    except (ValueError, AttributeError) as error:
        raise RunError(
            explain(
                "provenance.json cannot be read",
                where=str(run.provenance),
                why=f"it is not the JSON that lorascope wrote ({error})",
                fix="restore it from a copy; without it nothing says what this run's numbers come from",
            )
        ) from error


def record_stage(
    run: RunFolder,
    inputs: StageInputs,
    *,
    resolved: Mapping[str, Any],
    clock: StageClock,
    facts: Mapping[str, Any],
) -> None:
    """Write down how a stage was made, once its folder is complete.

    Args:
        run: The run.
        inputs: What decided the result.
        resolved: The same settings with every "auto" replaced by what it came to.
        clock: Started with the stage.
        facts: Anything else worth keeping: fingerprints, precision, device.
    """
    provenance = read_provenance(run)
    provenance["stages"][inputs.stage] = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": clock.seconds(),
        "settings": dict(inputs.settings),
        "resolved": dict(resolved),
        "inputs": dict(inputs.hashes),
        "versions": versions(),
        "machine": machine(),
        "manifest_sha256": _manifest_hash(run, inputs.stage),
        **facts,
    }
    write_json(run.provenance, provenance)


def stage_record(run: RunFolder, stage: str) -> dict[str, Any]:
    """What `record_stage` wrote of a stage; empty where it is not finished."""
    return dict(read_provenance(run)["stages"].get(stage, {}))


Overwrite = bool | Literal["stale"]
"""May a finished stage be made again? Always, never, or only where its inputs have changed since."""


def is_up_to_date(run: RunFolder, inputs: StageInputs, *, overwrite: Overwrite = False) -> bool:
    """Decide whether a stage may be skipped.

    Args:
        run: The run.
        inputs: What would decide the result now.
        overwrite: Whether a finished stage may be made again.

    Returns:
        True when it is finished with the same inputs and `overwrite` is not True; False when it has to run.

    Raises:
        RunError: It is finished with other inputs and `overwrite` is False; the message says what changed.
    """
    record = stage_record(run, inputs.stage)
    if not record or not run.stage(inputs.stage).is_dir() or overwrite is True:
        return False
    if record.get("manifest_sha256") != _manifest_hash(run, inputs.stage):
        return False  # a kill fell between the folder's commit and this record
    changes = _changes(record, inputs)
    if not changes:
        return True
    if overwrite == "stale":
        return False
    raise RunError(
        explain(
            f'"{inputs.stage}" is finished, but with other inputs: {"; ".join(changes)}',
            where=str(run.stage(inputs.stage)),
            why="a finished stage is never made again by accident",
            fix="add --overwrite to make it again, or choose another --out",
        )
    )


def _manifest_hash(run: RunFolder, stage: str) -> str | None:
    """Hash of a stage folder's manifest; None where it has none, as train/ which grows in place."""
    manifest = run.stage(stage) / MANIFEST
    return sha256_of(manifest) if manifest.is_file() else None


def _changes(record: Mapping[str, Any], inputs: StageInputs) -> list[str]:
    asked, resolved = _flat(record.get("settings", {})), _flat(record.get("resolved", {}))
    changes = [
        f"{name} was {json.dumps(asked.get(name))}, now {json.dumps(value)}"
        for name, value in _flat(inputs.settings).items()
        if value not in (asked.get(name), resolved.get(name))
    ]
    changes += [
        f"{name} has changed"
        for name, value in inputs.hashes.items()
        if record.get("inputs", {}).get(name) != value
    ]
    return changes


def _flat(settings: Mapping[str, Any], lead: str = "") -> dict[str, Any]:
    """Settings by their dotted names, so that each is compared and named by itself."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{lead}{name}.") if isinstance(value, Mapping) else {f"{lead}{name}": value}
    return flat


def versions() -> dict[str, str | None]:
    """Installed versions of what the numbers depend on; None where a package is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def machine() -> dict[str, Any]:
    """The machine in a few words, without anything that names its owner."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": cores,
        "byteorder": sys.byteorder,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
