"""A base model's name -> where it is: a folder, or one commit of a Hub model in the local cache."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import ModelError, explain, nearest
from lorascope.lm import hub, model_folder
from lorascope.lm.hub_faults import folders_beside

_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base model that was found: its config is here and asks for no code. Weights may yet be fetched."""

    name: str
    """As the user wrote it: a Hub name or a folder. This is what an adapter records as its base."""
    folder: Path
    commit: str | None = None
    """The Hub's commit; None for a folder."""
    note: str | None = None
    """Why a cached copy is used and not the Hub's newest; None when the Hub answered, and for a folder."""
    repo: hub.Repo | None = None


def find_base(base: str, *, revision: str | None = None) -> Base:
    """Find a base model by folder or Hub name, and check its config.

    A folder wins over a Hub model of the same name, as in transformers. Pass the result to `load_tokenizer`
    and `load_base` in place of the name, to record `commit` and `note`.

    Args:
        base: A folder, or a name on the Hub as in "gpt2" or "Qwen/Qwen2.5-0.5B".
        revision: A branch, tag or commit of a Hub model.

    Returns:
        Where it is.

    Raises:
        ModelError: There is no such folder or Hub model, it cannot be reached, or its config asks for code.
    """
    path = Path(os.path.expanduser(base))  # pathlib's own raises for the home of nobody
    if path.is_dir():
        if revision is not None:
            raise refused(
                f'revision "{revision}" of a folder', base, "only Hub models have revisions", "leave it out"
            )
        model_folder.read_config(path, base)
        return Base(name=base, folder=path)
    if path.is_file():
        fix = (
            f"give its folder, {path.parent}" if path.suffix in (".safetensors", ".json") else "give a folder"
        )
        raise refused(f'"{base}" is a file', base, "a base model is a folder, or a name on the Hub", fix)
    if _HUB_NAME.fullmatch(base) is None or base.startswith((".", "~")):
        why = "it is no name on the Hub either: those are NAME or OWNER/NAME"
        raise refused(f'there is no folder "{base}"', base, why, nearest(base, folders_beside(base)))
    repo = hub.open_repo(base, revision)
    model_folder.read_config(repo.folder, base)
    return Base(name=base, folder=repo.folder, commit=repo.commit, note=repo.unasked, repo=repo)


def tokenizer_folder(base: str) -> Base | None:
    """Find a folder that has a tokenizer and no model, such as an adapter's.

    Args:
        base: A folder or a Hub name.

    Returns:
        The folder; None when it is none of that kind.
    """
    folder = Path(os.path.expanduser(base))
    if not folder.is_dir() or (folder / "config.json").exists():
        return None
    holds = model_folder.has_tokenizer([path.name for path in folder.iterdir()])
    return Base(name=base, folder=folder) if holds else None


def refused(problem: str, where: str, why: str, fix: str) -> ModelError:
    """Make a ModelError of its four parts."""
    return ModelError(explain(problem, where=where, why=why, fix=fix))
