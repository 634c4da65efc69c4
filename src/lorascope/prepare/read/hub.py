"""A dataset's name on the Hub -> its data files in the local cache, at one commit.

`datasets` says which files belong to which configuration and split. They are downloaded as they are and read
by the readers of this package: a broken row is named, and none is filled up with nulls to be like the others.
"""

import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import DataError
from lorascope.prepare.read.files import DATA_SUFFIXES, data_suffix
from lorascope.prepare.read.hub_faults import (
    no_such_config,
    not_downloaded,
    not_in_cache,
    not_understood,
    nothing_to_read,
)

_NAME = re.compile(
    r"(?:hf://datasets/|https?://[^/]+/datasets/|datasets/)?"
    r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?/?"
)
_CARD = "README.md"
_SHARD = re.compile(r"(.*-)\d+-of-(\d+)\.\w+(?:\.\w+)?")
_TALKATIVE = ("datasets", "huggingface_hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFiles:
    """The files of one configuration.

    Attributes:
        files: Each in the local cache, with its name in the repository and its split.
        commit: Which they are of.
        key: The list that holds the rows, where the dataset's card names one.
        notes: What the user should know.
    """

    files: tuple[tuple[Path, str, str], ...]
    commit: str
    key: str | None = None
    notes: tuple[str, ...] = ()


def hub_name(text: str) -> tuple[str, str | None] | None:
    """Take a dataset's name and revision from what a user wrote; None where that is no name on the Hub.

    As in "owner/name", "hf://datasets/owner/name@v1" or the address of its page.
    """
    match = _NAME.fullmatch(text)
    if match is None or data_suffix(Path(match[1])) in DATA_SUFFIXES:
        return None
    return match[1], match[2]


def fetch_dataset(name: str, *, config: str | None = None, revision: str | None = None) -> HubFiles:
    """Download the data files of a dataset that are not in the cache yet.

    Args:
        name: As in "tatsu-lab/alpaca".
        config: The configuration; None where the dataset has one only, or names a default.
        revision: A branch, tag or commit; None for the main branch.

    Raises:
        DataError: The Hub does not have it, does not give it, or does not answer and no copy is cached; the
            configuration is unknown, or has no files that can be read.
    """
    from huggingface_hub import HfApi, constants

    from lorascope.lm.hub_faults import is_unreachable, why_unreachable

    if constants.HF_HUB_OFFLINE:
        return _from_cache(name, config, revision, "HF_HUB_OFFLINE is set")
    try:
        with _quiet():
            info = HfApi().dataset_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:
        if not is_unreachable(error):
            raise not_downloaded(error, name, revision) from error
        return _from_cache(name, config, revision, why_unreachable(error))
    commit, filenames = str(info.sha), [sibling.rfilename for sibling in info.siblings or []]
    card = _download(name, _CARD, revision, revision) if _CARD in filenames else None
    layout = _resolve(filenames, card, name, config)
    # One file is asked for by name, not by commit: that records the name's commit, for a later start offline.
    by_name = layout.files[0][0] if card is None else _CARD
    files = tuple(
        (_download(name, filename, revision if filename == by_name else commit, revision), filename, split)
        for filename, split in layout.files
    )
    return HubFiles(files=files, commit=commit, key=layout.key)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of files with their splits, and the key of their list."""

    files: tuple[tuple[str, str], ...]
    key: str | None


def _from_cache(name: str, config: str | None, revision: str | None, because: str) -> HubFiles:
    import huggingface_hub

    try:
        with _quiet():
            found = huggingface_hub.snapshot_download(
                name, repo_type="dataset", revision=revision, local_files_only=True
            )
    except Exception as error:
        raise not_in_cache(name, revision, because) from error
    folder = Path(found)
    filenames = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    card = folder / _CARD if _CARD in filenames else None
    layout = _resolve(filenames, card, name, config, nothing=not_in_cache(name, revision, because))
    if not _has_all_shards(filename for filename, _ in layout.files):
        raise not_in_cache(name, revision, f"{because}, and only some of its files were downloaded")
    return HubFiles(
        files=tuple((folder / filename, filename, split) for filename, split in layout.files),
        commit=folder.name,
        key=layout.key,
        notes=(f"{because}: using the cached copy of {name}, commit {folder.name[:12]}",),
    )


def _has_all_shards(filenames: Iterable[str]) -> bool:
    """Whether no file is missing, as far as names such as train-00000-of-00002.parquet tell."""
    shards = [(match[1], int(match[2])) for match in map(_SHARD.fullmatch, filenames) if match]
    return all(count == total for (_, total), count in Counter(shards).items())


def _resolve(
    filenames: Sequence[str],
    card: Path | None,
    name: str,
    config: str | None,
    nothing: DataError | None = None,
) -> _Layout:
    """Find the files of a configuration among all of a repository; raise `nothing` where there are none."""
    import datasets

    try:
        with _quiet(), _skeleton(filenames) as folder, tempfile.TemporaryDirectory() as cache:
            asked = _asked_for(_configs(card), name, config)
            builder = datasets.load_dataset_builder(
                str(folder),
                data_files=asked.get("data_files"),
                data_dir=asked.get("data_dir"),
                cache_dir=cache,
            )
            found = [
                (Path(path).relative_to(folder).as_posix(), str(split))
                for split, paths in (builder.config.data_files or {}).items()
                for path in paths
            ]
    except DataError:
        raise
    except FileNotFoundError as error:
        raise nothing or nothing_to_read(name) from error
    except Exception as error:  # a card that is no YAML, splits of different formats, whatever comes next
        raise not_understood(error, name) from error
    files = [(path, split) for path, split in found if data_suffix(Path(path)) in DATA_SUFFIXES]
    if not files:
        raise nothing or nothing_to_read(name)
    return _Layout(tuple(files), asked.get("field"))


def _configs(card: Path | None) -> list[dict[str, Any]]:
    """The configurations that a dataset's card lists."""
    from huggingface_hub import DatasetCard

    listed = DatasetCard.load(card).data.to_dict().get("configs") if card else None
    return [one for one in listed or [] if isinstance(one, dict) and "config_name" in one]


def _asked_for(configs: Sequence[dict[str, Any]], name: str, config: str | None) -> dict[str, Any]:
    """The configuration to read: the one named, the only one, or the default; {} where none is listed."""
    if not configs and config in (None, "default"):
        return {}
    chosen = [one for one in configs if one["config_name"] == config] if config else list(configs)
    if len(chosen) > 1:
        chosen = [one for one in chosen if one.get("default") or one["config_name"] == "default"][:1]
    if not chosen:
        raise no_such_config(name, config, [str(one["config_name"]) for one in configs] or ["default"])
    return chosen[0]


@contextmanager
def _skeleton(filenames: Sequence[str]) -> Iterator[Path]:
    """A folder of empty files with a repository's names: names are all it takes to tell splits apart."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for filename in filenames:
            path = (root / filename).resolve()
            if filename != _CARD and path.is_relative_to(root):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        yield root


def _download(name: str, filename: str, at: str | None, revision: str | None) -> Path:
    """Download a file of one commit or branch; `revision` is what the user wrote, for the message."""
    from huggingface_hub import constants, hf_hub_download

    try:
        with _quiet():
            path = hf_hub_download(
                name, filename, repo_type="dataset", revision=at, etag_timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
    except Exception as error:
        raise not_downloaded(error, name, revision, filename) from error
    return Path(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep both clients from printing: what the user should know is ours to say."""
    from huggingface_hub import utils

    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    bars: bool = not utils.are_progress_bars_disabled()  # type: ignore[attr-defined]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            utils.enable_progress_bars()  # type: ignore[attr-defined]
