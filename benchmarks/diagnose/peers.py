"""The same logs through tools that read curves: what each of them warns of."""

import contextlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from other_log import log_of

PEERS = ("ftdoctor", "trainproof")
_GRAVE = {"warning", "critical", "warn", "fail", "error"}


def peer_alarms(commands: Path, logs: Path, keys: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Read every trial's log with ftdoctor, with trainproof, and with our own rules on curves alone.

    Args:
        commands: Folder with both commands.
        logs: Folder of the trials' logs.
        keys: Of the trials.

    Returns:
        Trial -> tool -> names of the checks that warned; trials that never came to train have no log.
    """
    from lorascope.diagnose.stage import diagnose_path

    found = {}
    for key in keys:
        log = log_of(logs, key)
        if not log.is_file():
            continue
        ours = diagnose_path(log)
        curve = [one["rule"] for one in ours["findings"] if one["severity"] != "info"]
        found[key] = {"curve": curve, **tool_alarms(commands, log)}
    return found


def tool_alarms(commands: Path, log: Path) -> dict[str, list[str]]:
    """What each tool warns of in a log; a tool that cannot read it is left out."""
    found = {}
    for name, read in (("ftdoctor", _ftdoctor), ("trainproof", _trainproof)):
        with contextlib.suppress(Unreadable):
            found[name] = read(commands, log)
    return found


class Unreadable(Exception):
    """A tool printed no report."""


def versions(commands: Path) -> dict[str, str]:
    """What the commands say of themselves."""
    return {name: _output([commands / name, "--version"]).split()[-1] for name in PEERS}


def _ftdoctor(commands: Path, log: Path) -> list[str]:
    told = _told([commands / "ftdoctor", "diagnose", log, "-f", "json"])
    return _grave(told["findings"], "severity", "check")


def _trainproof(commands: Path, log: Path) -> list[str]:
    told = _told([commands / "trainproof", "doctor", log, "--json"])
    return _grave([one for report in told["reports"] for one in report["findings"]], "level", "id")


def _grave(findings: Iterable[Mapping[str, Any]], level: str, name: str) -> list[str]:
    return [str(one[name]) for one in findings if str(one[level]).lower() in _GRAVE]


def _told(words: list[Any]) -> Any:
    try:
        return json.loads(_output(words))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _output(words: list[Any]) -> str:
    """What a command prints; both exit with other codes than 0 where they warn."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise Unreadable(done.stderr[-200:])
    return done.stdout
