"""Public logs with a reading made by eye -> what we, and tools that read curves, say of them."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from peers import tool_alarms

DATA = Path(os.environ.get("LORASCOPE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
_SOUND = {"healthy", "still_improving"}
"""Readings with nothing to warn of."""


def read_public_logs(commands: Path | None) -> dict[str, dict[str, Any]] | None:
    """Diagnose every log of the folder `runs` of LORASCOPE_DATA; None where there is none.

    Args:
        commands: Folder with the commands of the peers, None to leave them out.

    Returns:
        Log -> "reading", "verdict", and the warnings of "curve", "ftdoctor" and "trainproof"; a peer that
        cannot read a log is left out of it.
    """
    from lorascope.diagnose.logs.open_log import open_log
    from lorascope.diagnose.stage import diagnose_log

    manifest = DATA / "runs" / "MANIFEST.json"
    if not manifest.is_file():
        return None
    found = {}
    for entry in json.loads(manifest.read_text(encoding="utf-8")):
        path = DATA / "runs" / entry["file"]
        report = diagnose_log(open_log(path), entry["id"])
        warned = {"curve": [one["rule"] for one in report["findings"] if one["severity"] != "info"]}
        if commands is not None:
            warned |= tool_alarms(commands, path)
        found[entry["id"]] = {
            "reading": entry["your_reading"],
            "verdict": report["verdict"],
            "warned": warned,
        }
    return found


def reading_table(logs: dict[str, dict[str, Any]]) -> str:
    """Readings by our verdict."""
    counts = Counter((one["reading"], one["verdict"]) for one in logs.values())
    verdicts = sorted({verdict for _, verdict in counts})
    lines = [
        "| read as | " + " | ".join(one.replace("_", " ") for one in verdicts) + " |",
        "| --- |" + " ---: |" * len(verdicts),
    ]
    for reading in sorted({reading for reading, _ in counts}):
        cells = " | ".join(str(counts[reading, verdict] or "") for verdict in verdicts)
        lines.append(f"| {reading.replace('_', ' ')} | {cells} |")
    return "\n".join(lines)


def alarm_table(logs: dict[str, dict[str, Any]]) -> str:
    """By reading, the share of logs with a warning of each tool, over the logs that it can read."""
    tools = ("curve", "ftdoctor", "trainproof")
    groups = {
        "sound (healthy, still improving)": _SOUND,
        "overfitting": {"overfitting"},
        "diverging, not finite, zero loss, spiky": {"divergence", "nonfinite", "zero_loss", "spiky"},
    }
    lines = ["| read as | lorascope | ftdoctor | trainproof |", "| --- | ---: | ---: | ---: |"]
    for name, readings in groups.items():
        cells = []
        for tool in tools:
            told = [
                one["warned"][tool]
                for one in logs.values()
                if one["reading"] in readings and tool in one["warned"]
            ]
            cells.append(f"{sum(map(bool, told))} of {len(told)}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
