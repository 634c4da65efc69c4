"""A model's name on the Hub -> a folder in the local cache, at one commit, holding only what lorascope reads.

Files are chosen by name: config, tokenizer and safetensors weights. Pickles and code are never downloaded.
The Hub is asked once per model and process; where it does not answer, a cached copy is used and a note says
so.
"""

import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi, constants, hf_hub_download

from lorascope.lm.hub_faults import Missing, is_unreachable, translate, why_unreachable

utils: Any = huggingface_hub.utils  # what it exports, it does not mark as exported
log = logging.getLogger(__name__)

_TOKENIZER_NAMES = ("added_tokens.json", "merges.txt", "special_tokens_map.json", "vocab.json", "vocab.txt")
_TOKENIZER_STEMS = ("tokenizer", "chat_template", "sentencepiece", "spiece", "tekken", "qwen", "vocab")
_TOKENIZER_ENDS = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_PAUSE_S = 1.0

_opened: dict[tuple[str, str | None, str], "Repo"] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """One commit of a model on the Hub, and how much of it is known here."""

    name: str
    revision: str | None
    commit: str
    folder: Path
    """The commit's folder in the cache; holds config.json from the start, the rest after `fetch`."""
    files: tuple[str, ...]
    """Every file of the commit, or, where the Hub was not reached, the cached ones."""
    num_bytes: Mapping[str, int] = field(default_factory=dict)
    unasked: str | None = None
    """Why the Hub was not asked or did not answer, so only cached files can be had; None when it did."""


def open_repo(name: str, revision: str | None = None, *, config: str = "config.json") -> Repo:
    """Ask the Hub which commit and files a model has, and get its config.

    One question with a time limit (HF_HUB_ETAG_TIMEOUT, 10 s unless set), and one more after a pause when
    there is no cached copy to fall back on. So a dead network costs 20 seconds at worst and a cached model
    10, not minutes.

    Args:
        name: As in "gpt2" or "Qwen/Qwen2.5-0.5B".
        revision: A branch, tag or commit; None for the main branch.
        config: The file that makes it what it is; "adapter_config.json" for an adapter.

    Returns:
        What is known of the model. The same answer for the rest of this process, so that tokenizer and
        weights are of one commit.

    Raises:
        ModelError: The Hub refuses or does not have it, or does not answer and there is no cached copy.
    """
    key = (name, revision, config)
    if key not in _opened:
        get = _from_cache if constants.HF_HUB_OFFLINE else _from_hub
        _opened[key] = get(name, revision, config)
    return _opened[key]


def fetch(repo: Repo, filenames: Iterable[str]) -> Path:
    """Download the files of a commit that are not in the cache yet.

    Args:
        repo: From `open_repo`.
        filenames: Which ones; each is in `repo.files`.

    Returns:
        The folder that holds them.

    Raises:
        ModelError: A download failed, or the disk is too full to begin.
    """
    absent = [name for name in filenames if not (repo.folder / name).exists()]
    if not absent:
        return repo.folder
    if repo.unasked is not None:
        raise translate(Missing(absent, repo.unasked), repo.name, repo.revision)
    num_bytes = sum(repo.num_bytes.get(name, 0) for name in absent)
    _check_space(repo, num_bytes)
    if num_bytes > 10_000_000:
        log.info("downloading %s: %.1f GiB to %s", repo.name, num_bytes / 2**30, constants.HF_HUB_CACHE)
    for filename in absent:
        _download(repo.name, filename, repo.commit, repo.revision)
    return repo.folder


def tokenizer_files(files: Iterable[str]) -> list[str]:
    """Pick the files a tokenizer is made of, chat templates included, from a model's file names.

    Args:
        files: Names relative to the model's folder, with "/".

    Returns:
        Those at the top that look like a tokenizer's, and the templates in additional_chat_templates/.
    """
    return [
        name
        for name in files
        if name in _TOKENIZER_NAMES
        or ("/" not in name and name.startswith(_TOKENIZER_STEMS) and name.endswith(_TOKENIZER_ENDS))
        or (name.startswith("additional_chat_templates/") and name.endswith(".jinja"))
    ]


def _from_hub(name: str, revision: str | None, config: str) -> Repo:
    cached = _cached_config(name, revision, config) is not None
    try:
        info = _ask(name, revision, attempts=1 if cached else 2)
    except Exception as error:
        if not (cached and is_unreachable(error)):
            raise translate(error, name, revision) from error
        return _from_cache(name, revision, config, unasked=why_unreachable(error))
    siblings = info.siblings or []
    if not any(sibling.rfilename == config for sibling in siblings):
        raise translate(Missing([config], None), name, revision)
    # By name, not by commit: this records the name's commit in the cache, for a later start offline.
    folder = Path(_download(name, config, revision, revision)).parent
    return Repo(
        name=name,
        revision=revision,
        commit=folder.name,
        folder=folder,
        files=tuple(sibling.rfilename for sibling in siblings),
        num_bytes={sibling.rfilename: sibling.size for sibling in siblings if sibling.size is not None},
    )


def _from_cache(name: str, revision: str | None, config: str, unasked: str = "HF_HUB_OFFLINE is set") -> Repo:
    cached = _cached_config(name, revision, config)
    if cached is None:
        raise translate(Missing([config], unasked), name, revision)
    folder = cached.parent
    log.warning("%s: using the cached copy of %s, commit %s", unasked, name, folder.name[:12])
    files = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
    return Repo(name=name, revision=revision, commit=folder.name, folder=folder, files=files, unasked=unasked)


def _ask(name: str, revision: str | None, *, attempts: int) -> huggingface_hub.ModelInfo:
    """Ask for the commit and the files; again, while the Hub is unreachable and attempts are left."""
    while True:
        attempts -= 1
        try:
            with _quiet():
                return HfApi().model_info(
                    name, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
                )
        except Exception as error:
            if attempts == 0 or not is_unreachable(error):
                raise
        time.sleep(_PAUSE_S)


def _cached_config(name: str, revision: str | None, config: str) -> Path | None:
    try:
        found = huggingface_hub.try_to_load_from_cache(name, config, revision=revision)
    except ValueError:  # the name is no Hub name
        return None
    return Path(found) if isinstance(found, str) else None


def _download(name: str, filename: str, at: str | None, revision: str | None) -> str:
    """Download a file of one commit or branch; `revision` is what the user wrote, for the message."""
    try:
        with _quiet():
            return hf_hub_download(name, filename, revision=at, etag_timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        raise translate(error, name, revision, filename=filename) from error


def _check_space(repo: Repo, num_bytes: int) -> None:
    """Refuse a download that cannot fit, before the first byte."""
    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise translate(
            OSError(28, "too little space", str(folder)), repo.name, repo.revision, num_bytes=num_bytes
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the Hub's client from printing: its warnings are ours to give, its bars for a terminal."""
    verbosity, bars = utils.logging.get_verbosity(), not utils.are_progress_bars_disabled()
    utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.logging.set_verbosity(verbosity)
        if bars:
            utils.enable_progress_bars()
