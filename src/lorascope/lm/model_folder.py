"""What a folder must hold to be a base model: a config.json without code of its own, and a tokenizer.

Checked before anything heavy is loaded. Nothing that comes with a model is ever run, and no switch
changes that.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import ModelError, explain
from lorascope.lm.weight_files import INDEX, WEIGHTS

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_CODE_KEYS = ("auto_map", "trust_remote_code", "_attn_implementation_internal", "custom_pipelines")


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a model's config.json and refuse one that asks for code to be run.

    Args:
        folder: The model's folder.
        name: What the user calls the model, for messages.

    Returns:
        The parsed file.

    Raises:
        ModelError: It is missing or unreadable, or names code (`auto_map` and the like).
    """
    path = folder / "config.json"
    if not path.is_file():
        raise _not_a_model(folder, name)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, error) from error
    if not isinstance(config, dict):
        raise _bad_config(path, name, "it is not a JSON object")
    refuse_code(config, path, name)
    if "model_type" not in config:
        raise _bad_config(path, name, 'it has no "model_type", so its architecture is not known')
    return config


def refuse_code(config: Mapping[str, Any], path: Path, name: str) -> None:
    """Refuse a config that makes a library import or download code.

    Args:
        config: A parsed config.json or tokenizer_config.json.
        path: Where it lies.
        name: What the user calls the model.

    Raises:
        ModelError: One of its keys, at any depth, does.
    """
    for key, value in _walk(config):
        names_kernel = "attn_implementation" in key and "/" in json.dumps(value)
        if names_kernel or (key in _CODE_KEYS and value not in (None, False)):
            message = explain(
                f'"{name}" wants code of its own to be run: {path.name} has "{key}"',
                where=str(path),
                why="lorascope runs no code that comes with a model; there is no switch for it",
                fix="choose a model that transformers has built in; where this one is, "
                f'copy the model to a folder, delete "{key}" from {path.name} and give that folder as base',
            )
            raise ModelError(message)


def read_tokenizer_config(folder: Path, name: str) -> None:
    """Refuse a tokenizer that asks for code to be run.

    Args:
        folder: The model's folder.
        name: What the user calls the model.

    Raises:
        ModelError: tokenizer_config.json is not JSON, or names code.
    """
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, error) from error
    if isinstance(config, dict):
        refuse_code(config, path, name)


def has_tokenizer(files: list[str]) -> bool:
    """Whether some files hold a tokenizer that transformers can build."""
    return any(file in _TOKENIZERS or file.endswith((".model", ".tiktoken")) for file in files)


def no_tokenizer(where: str, name: str) -> ModelError:
    """Make the error for a model without tokenizer files.

    Args:
        where: The folder or the Hub's page.
        name: What the user calls the model.

    Returns:
        The error to raise.
    """
    message = explain(
        f'"{name}" has no tokenizer',
        where=where,
        why=f"none of {', '.join(_TOKENIZERS)} is there",
        fix="copy the tokenizer files of the model it was made from into the folder",
    )
    return ModelError(message)


def _not_a_model(folder: Path, name: str) -> ModelError:
    """Say what a folder without config.json seems to be."""
    files = sorted(path.name for path in folder.iterdir())
    adapter = folder / "adapter_config.json"
    inner = [entry for entry in files if (folder / entry / "config.json").is_file()]
    if adapter.is_file():
        why, fix = (
            "it holds an adapter (adapter_config.json), and an adapter is not a model",
            _base_of(adapter),
        )
    elif inner:
        why, fix = "a base model's folder has config.json at its top", f"give {folder / inner[0]}"
    else:
        shown = ", ".join(files[:8]) + (", ..." if len(files) > 8 else "")
        missing = ["config.json"]
        missing += [] if has_tokenizer(files) else ["tokenizer files"]
        missing += [] if {WEIGHTS, INDEX} & set(files) else [WEIGHTS]
        why = f"missing: {', '.join(missing)}; it holds {shown or 'nothing'}"
        fix = "give the folder that save_pretrained or hf download wrote"
    return ModelError(
        explain(f'"{name}" is not a base model: no config.json', where=str(folder), why=why, fix=fix)
    )


def _base_of(adapter: Path) -> str:
    try:
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    return f'give its base model instead; it says that is "{base}"' if base else "give its base model instead"


def _unreadable(path: Path, name: str, error: Exception) -> ModelError:
    problem, why = f'the {path.name} of "{name}" cannot be read', f"{type(error).__name__}: {error}"
    return ModelError(explain(problem, where=str(path), why=why, fix="copy or download the file again"))


def _bad_config(path: Path, name: str, why: str) -> ModelError:
    fix = "give the folder or name of a causal language model in the format of transformers"
    return ModelError(
        explain(f'the config.json of "{name}" is not a model\'s', where=str(path), why=why, fix=fix)
    )


def _walk(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        yield key, value
        if isinstance(value, Mapping):
            yield from _walk(value)
