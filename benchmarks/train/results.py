"""The file of results: a record for each finished part, so that an interrupted run can go on."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("torch", "transformers", "peft", "trl", "accelerate")
print(json.dumps({"python": platform.python_version(), **{name: version(name) for name in names}}))
"""


class Results:
    """Records by key, written to a file as soon as each is there."""

    def __init__(self, path: Path, facts: dict[str, Any], *, fresh: bool = False) -> None:
        """Open a file of results.

        Args:
            path: JSON; a complete one, or one from another machine or other versions, is begun anew.
            facts: What the figures depend on.
            fresh: Begin anew whatever there is.
        """
        self.path = path
        self.stored: dict[str, Any] = {"facts": facts, "complete": False, "spent_s": 0.0, "records": {}}
        if path.is_file() and not fresh:
            before = json.loads(path.read_text(encoding="utf-8"))
            same = {k: v for k, v in before.get("facts", {}).items() if k != "date"}
            if not before.get("complete") and same == {k: v for k, v in facts.items() if k != "date"}:
                self.stored = before

    def __contains__(self, key: str) -> bool:
        return key in self.stored["records"]

    def __getitem__(self, key: str) -> Any:
        return self.stored["records"][key]

    def get(self, key: str) -> Any:
        """A record, or None where that part was not run."""
        return self.stored["records"].get(key)

    @property
    def spent_s(self) -> float:
        """Seconds that the parts so far took, interrupted ones left out."""
        return float(self.stored["spent_s"])

    def add(self, key: str, record: Any, seconds: float) -> None:
        """Store a finished part."""
        self.stored["records"][key] = record
        self.stored["spent_s"] = round(self.spent_s + seconds, 1)
        self.write()

    def finish(self) -> None:
        """Note that all parts are there; the next run begins anew."""
        self.stored["complete"] = True
        self.write()

    def write(self) -> None:
        """Replace the file by what is known now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.stored, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(self.path)


def facts_of(product: str, peers: str | None, *, smoke: bool) -> dict[str, Any]:
    """What the figures depend on: machine, versions in both venvs, date."""
    from lorascope.engine.precision import cpu_bf16_instructions
    from lorascope.run.provenance import machine

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "os_cores": os.cpu_count(),
        "bf16": cpu_bf16_instructions(),
        "python": platform.python_version(),
        "product": _versions(product),
        "peers": _versions(peers) if peers else None,
        "smoke": smoke,
    }


def _versions(python: str) -> dict[str, str]:
    done = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))
