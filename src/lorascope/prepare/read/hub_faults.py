"""Whatever goes wrong between here and a dataset on the Hub -> one DataError that says what to do.

No message repeats an address or a token: what the clients wrote is shown only with both taken out.
"""

from collections.abc import Sequence

from lorascope.errors import DataError, explain, nearest


def not_downloaded(
    error: BaseException, name: str, revision: str | None, filename: str | None = None
) -> DataError:
    """Explain that the Hub does not have a dataset or a file of it, does not give it, or broke off."""
    from huggingface_hub import errors as hub

    login = 'run "hf auth login" or set HF_TOKEN to a token with read access'
    if isinstance(error, hub.GatedRepoError):
        why = "it is for accounts that accepted its terms"
        return _dataset_error(
            f'"{name}" is gated, and the Hub does not give it to you', name, revision, why, login
        )
    if isinstance(error, hub.RevisionNotFoundError):
        why = "a revision is a branch, a tag or a commit of the dataset's repository"
        fix = "correct the revision; without one the main branch is used"
        return _dataset_error(f'"{name}" has no revision "{revision}"', name, revision, why, fix)
    if isinstance(error, hub.RepositoryNotFoundError):
        why = "there is no file or folder of this name either"
        fix = f"check the name; for a private dataset {login}"
        problem = f'the Hub has no dataset "{name}", or it is private'
        return _dataset_error(problem, name, revision, why, fix)
    what = f"{filename} of " if filename else ""
    return _dataset_error(
        f'{what}"{name}" could not be downloaded',
        name,
        revision,
        _reason(error),
        "run it again: files that are complete are kept; or give the files of the dataset by their path",
    )


def not_in_cache(name: str, revision: str | None, because: str) -> DataError:
    """Explain that the Hub was not reached, and there is no copy."""
    return _dataset_error(
        f'the Hub gave no answer, and "{name}" is not in the local cache',
        name,
        revision,
        because,
        "run it once with network, or give the files of the dataset by their path",
    )


def no_such_config(name: str, config: str | None, known: Sequence[str]) -> DataError:
    """Explain which configurations there are."""
    if config is None:
        problem = f'"{name}" has {len(known)} configurations, and none is the default'
    else:
        problem = f'"{name}" has no configuration "{config}"'
    why = "each is a dataset of its own in the same repository"
    return _dataset_error(problem, name, None, why, f"name one as config: {nearest(config or '', known)}")


def nothing_to_read(name: str) -> DataError:
    """Explain that a repository holds no files of rows."""
    return _dataset_error(
        f'"{name}" holds no files with rows',
        name,
        None,
        "rows are read from JSON, JSON Lines, CSV, TSV, Parquet and Arrow files; scripts are never run",
        f"look for a dataset with such files, or for its branch refs/convert/parquet as revision of {name}",
    )


def not_understood(error: BaseException, name: str) -> DataError:
    """Explain that the card of a dataset, or its files, make no sense."""
    first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    return _dataset_error(
        f'the files of "{name}" cannot be told apart',
        name,
        None,
        f"its card or file names do not say which split they are of ({first})",
        "download them (hf download --repo-type dataset) and give them by their path",
    )


def _reason(error: BaseException) -> str:
    from lorascope.lm.hub_faults import is_unreachable, redacted, why_unreachable

    return (
        why_unreachable(error) if is_unreachable(error) else f"{type(error).__name__}: {redacted(str(error))}"
    )


def _dataset_error(problem: str, name: str, revision: str | None, why: str, fix: str) -> DataError:
    where = f'dataset "{name}"' + (f", revision {revision}" if revision else "")
    return DataError(explain(problem, where=where, why=why, fix=fix))
