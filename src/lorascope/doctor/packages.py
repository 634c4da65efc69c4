"""Which Python and packages are installed, and whether they are new enough."""

import platform
import re
import sys
from collections.abc import Callable
from importlib import metadata

from lorascope.doctor.check import Check, fail, ok, warn

TRAIN = 'pip install "lorascope[train]"'
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9_.-]+)\s*(?:>=\s*([0-9][^,;\s]*))?[^;]*(?:;\s*extra\s*==\s*['\"](\w+)['\"])?"
)


def examine(
    requirements: list[str] | None = None, installed: Callable[[str], str | None] | None = None
) -> list[Check]:
    """Compare what is installed with the floors that lorascope declares.

    Args:
        requirements: As `importlib.metadata.requires` lists them; None for lorascope's own.
        installed: Gives a package's version, or None; None to ask this Python.

    Returns:
        A check of Python, one of the core packages, one of those in the extra "train".
    """
    found = version_of if installed is None else installed
    checks = [ok("python", f"{platform.python_version()} at {sys.executable}")]
    if requirements is None:
        try:
            requirements = metadata.requires("lorascope") or []
        except metadata.PackageNotFoundError:
            return [*checks, warn("lorascope", "runs from source, not installed", "pip install -e .")]
    floors = [_REQUIREMENT.match(requirement) for requirement in requirements]
    named = [match.groups() for match in floors if match is not None]
    core = {name: floor for name, floor, extra in named if extra is None}
    train = {name: floor for name, floor, extra in named if extra == "train"}
    checks.append(_group("core packages", core, found, 'pip install --upgrade "lorascope"'))
    if train and not any(found(name) for name in ("torch", "transformers", "peft")):
        what = (
            "not installed: diagnose, prefer and report work; prepare, train, eval, compare and export do not"
        )
        checks.append(warn("train packages", what, TRAIN))
    elif train:
        checks.append(_group("train packages", train, found, f"{TRAIN} --upgrade"))
    return checks


def version_of(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_older(version: str, floor: str) -> bool:
    """Whether a version is below a floor, by its numbers: 2.9.1+cu128 is below 2.10, 5.3.0rc1 not below 5.3.

    Args:
        version: What is installed.
        floor: What is asked for.

    Returns:
        True when it is older.
    """
    have, want = _numbers(version), _numbers(floor)
    length = max(len(have), len(want))
    return have + [0] * (length - len(have)) < want + [0] * (length - len(want))


def _numbers(version: str) -> list[int]:
    release = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return [int(part) for part in release.group().split(".")] if release else []


def _group(name: str, floors: dict[str, str | None], found: Callable[[str], str | None], fix: str) -> Check:
    versions = {package: found(package) for package in floors}
    absent = [package for package, version in versions.items() if version is None]
    old = [
        f"{package} {version} (needs {floors[package]})"
        for package, version in versions.items()
        if version is not None and is_older(version, floors[package] or "0")
    ]
    if absent or old:
        problems = ([f"missing: {', '.join(absent)}"] if absent else []) + (
            [f"too old: {', '.join(old)}"] if old else []
        )
        return fail(name, "; ".join(problems), fix)
    return ok(name, ", ".join(f"{package} {version}" for package, version in versions.items()))
