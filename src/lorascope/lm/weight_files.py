"""The files that hold a base model's weights: safetensors, all of them, each one whole.

Pickles (pytorch_model.bin) can run any code when opened, so they are refused whoever made them. A damaged
file is found by its header, before any weight is read.
"""

import json
import struct
from pathlib import Path
from typing import Any

from lorascope.errors import ModelError, explain

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".pkl")
_MAX_HEADER_BYTES = 100_000_000


def whole_files(folder: Path, name: str) -> list[Path]:
    """List the safetensors files that hold a model's weights, each one whole.

    Args:
        folder: The model's folder.
        name: What the user calls the model.

    Returns:
        model.safetensors, or the files its index names; at least one.

    Raises:
        ModelError: There are none, there are pickles only, one is absent, or one is damaged.
    """
    if (folder / WEIGHTS).is_file():
        paths = [folder / WEIGHTS]
    elif (folder / INDEX).is_file():
        paths = [folder / shard for shard in shards(folder / INDEX, name)]
    else:
        raise no_safetensors([path.name for path in folder.iterdir()], str(folder), name)
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        message = explain(
            f'the weights of "{name}" are incomplete: {", ".join(absent)}',
            where=str(folder),
            why=f"{INDEX} names {len(paths)} files, and {len(absent)} of them are not here",
            fix="copy or download the missing files",
        )
        raise ModelError(message)
    for path in paths:
        read_header(path, name)
    return paths


def shards(index: Path, name: str) -> list[str]:
    """Read which files a sharded model is made of.

    Args:
        index: A model.safetensors.index.json.
        name: What the user calls the model.

    Returns:
        File names without folders, sorted.

    Raises:
        ModelError: The index is unreadable, or names a file outside its own folder or of another kind.
    """
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        plain = all(Path(shard).name == shard and shard.endswith(".safetensors") for shard in named)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        named, plain = set(), False
    if not named or not plain:
        message = explain(
            f'the index of the weights of "{name}" cannot be used',
            where=str(index),
            why="it must map each weight to a .safetensors file beside it",
            fix="copy or download the file again",
        )
        raise ModelError(message)
    return sorted(named)


def read_header(path: Path, name: str) -> dict[str, Any]:
    """Read a safetensors header and check that the file is as long as its header says.

    Catches cut-off downloads, empty files, Git LFS pointers and web pages saved as weights, in a millisecond.

    Args:
        path: The file.
        name: What the user calls the model.

    Returns:
        Tensor name -> {"dtype", "shape", "data_offsets"}.

    Raises:
        ModelError: It is damaged.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (num_header_bytes,) = struct.unpack("<Q", file.read(8))
            if num_header_bytes > min(_MAX_HEADER_BYTES, size):
                raise ValueError("its first bytes are not those of a safetensors file")
            header: dict[str, Any] = json.loads(file.read(num_header_bytes))
        header.pop("__metadata__", None)
        expected = (
            8 + num_header_bytes + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        )
        if size != expected:
            raise ValueError(f"it has {size:,} bytes where its header says {expected:,}")
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        why = str(error) if type(error) is ValueError else "its header is not that of a safetensors file"
        if size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
            why = 'it is a Git LFS pointer, not the weights; "git lfs pull" fetches them'
        raise damaged(path, name, why) from error
    return header


def damaged(path: Path, name: str, why: str) -> ModelError:
    """Make the error for weights that cannot be read, with what to delete.

    Args:
        path: The damaged file; a link when it lies in the Hub's cache.
        name: What the user calls the model.
        why: What is wrong with it.

    Returns:
        The error to raise.
    """
    real = path.resolve()
    if real != path.absolute() and "blobs" in real.parts:
        fix = f"delete {real} and {path}, then run it again: the file is downloaded anew"
    else:
        fix = "copy or download the file again"
    return ModelError(
        explain(f'a weight file of "{name}" is damaged: {path.name}', where=str(path), why=why, fix=fix)
    )


def no_safetensors(files: list[str], where: str, name: str) -> ModelError:
    """Make the error for a model without safetensors weights.

    Args:
        files: The names of the files it has.
        where: The folder or the Hub's page.
        name: What the user calls the model.

    Returns:
        The error to raise.
    """
    pickles = sorted(file for file in files if file.endswith(_PICKLES) and "training_args" not in file)
    others = sorted(file for file in files if file.endswith((".gguf", ".safetensors")))
    if pickles:
        message = explain(
            f'"{name}" has its weights as pickle only: {", ".join(pickles[:4])}',
            where=where,
            why="opening a pickle can run any code, so lorascope reads safetensors alone",
            fix="use a repository or revision with model.safetensors, or convert it in a place of no value: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(FOLDER)",
        )
    elif others:
        message = explain(
            f'"{name}" has no {WEIGHTS}, but {", ".join(others[:4])}',
            where=where,
            why="a base model is model.safetensors, or shards with model.safetensors.index.json",
            fix="use the repository that this one was made from",
        )
    else:
        message = explain(
            f'"{name}" has no weights',
            where=where,
            why=f"neither {WEIGHTS} nor {INDEX} is there",
            fix="copy or download the weights, or choose another base model",
        )
    return ModelError(message)
