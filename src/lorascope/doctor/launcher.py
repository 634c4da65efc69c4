"""The config that `accelerate launch` would read: is it there, does it parse, does it fit this machine?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lorascope.doctor.check import Check, fail, ok, warn
from lorascope.errors import nearest

_NAME = "accelerate config"
_MAKE = 'make one with "accelerate config"'


def default_path(environ: Mapping[str, str]) -> Path:
    """Where accelerate looks when it is given no path.

    Args:
        environ: The environment variables.

    Returns:
        default_config.yaml in the cache of Hugging Face, there or not.
    """
    cache = environ.get("XDG_CACHE_HOME", "~/.cache")
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "accelerate" / "default_config.yaml"


def examine(config: Path | None, environ: Mapping[str, str], *, num_gpus: int | None) -> Check:
    """Check accelerate's config.

    Args:
        config: One given by the user; None for ACCELERATE_CONFIG_FILE, or else the default.
        environ: The environment variables.
        num_gpus: How many GPUs torch sees; None when that is not known.

    Returns:
        "fail" for a named config that is missing, and for any that accelerate would refuse or that cannot run
        here. No config at all is fine for one process.
    """
    named = config if config is not None else environ.get("ACCELERATE_CONFIG_FILE") or None
    path = default_path(environ) if named is None else Path(named).expanduser()
    if not path.is_file():
        if named is not None:
            return fail(_NAME, f"{path} does not exist", f"{_nearest_file(path)}; or {_MAKE}")
        if num_gpus is not None and num_gpus > 1:
            found = f"none at {path}, so accelerate launch uses its defaults on {num_gpus} GPUs"
            return warn(_NAME, found, _MAKE)
        return ok(_NAME, f"none at {path}; one process needs none")
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        return fail(
            _NAME,
            f"{path} cannot be read: {type(error).__name__}",
            "give it back its permissions, as UTF-8 text",
        )
    except (yaml.YAMLError, ValueError) as error:
        return fail(
            _NAME, f"{path} is not valid {_language(path)}: {_one_line(error)}", f"correct it, or {_MAKE}"
        )
    if not isinstance(values, dict):
        return fail(_NAME, f"{path} holds no settings", _MAKE)
    problem = misfit(values, num_gpus) or _refused_by_accelerate(path)
    if problem is not None:
        return fail(_NAME, f"{path}: {problem}", f"correct it, or {_MAKE}")
    processes = values.get("num_processes", 1)
    return ok(
        _NAME,
        f"{path}: {values['distributed_type']}, {processes} process{'es' if processes != 1 else ''}, "
        f"mixed precision {values.get('mixed_precision') or 'no'}",
    )


def misfit(values: Mapping[str, Any], num_gpus: int | None) -> str | None:
    """Say why a config cannot run on this machine.

    Args:
        values: The parsed config.
        num_gpus: How many GPUs torch sees; None when that is not known.

    Returns:
        One sentence, or None when nothing speaks against it.
    """
    if "distributed_type" not in values:
        return "distributed_type is missing"
    kind, processes = str(values["distributed_type"]).upper(), values.get("num_processes", 1)
    if not isinstance(processes, int) or isinstance(processes, bool) or (processes < 1 and processes != -1):
        return f"num_processes is {processes!r}, which is no number of processes"
    machines = values.get("num_machines", 1)
    here = processes // machines if isinstance(machines, int) and machines > 1 else processes
    if num_gpus is not None and kind == "MULTI_GPU" and here > num_gpus:
        return f"it asks for {here} GPUs on this machine, and torch can use {num_gpus}"
    if num_gpus == 0 and values.get("mixed_precision") == "fp16":
        return "mixed_precision is fp16, which needs a GPU, and torch can use none"
    return None


def _refused_by_accelerate(path: Path) -> str | None:
    """What accelerate's own reader says against a config; None when it takes it, or is not installed."""
    try:
        from accelerate.commands.config.config_args import load_config_from_file
    except ImportError:
        return None
    try:
        load_config_from_file(str(path))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"accelerate refuses it: {_one_line(error)}"
    return None


def _nearest_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml", ".json")]
    except OSError:
        return f"the folder {path.parent} does not exist either"
    return nearest(path.name, names)


def _language(path: Path) -> str:
    return "JSON" if path.suffix == ".json" else "YAML"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
