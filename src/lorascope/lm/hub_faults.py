"""Whatever goes wrong between here and the Hub -> one ModelError that says what, where, why and what to do.

No message repeats what the Hub or the HTTP client wrote, because both may hold addresses with credentials in
them.
"""

import errno
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import constants, get_token
from huggingface_hub import errors as hub

from lorascope.errors import ModelError, explain, nearest

utils: Any = huggingface_hub.utils  # what it exports, it does not mark as exported

_HTTP_MODULES = ("httpx", "httpcore", "requests", "urllib3")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCKED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Missing(Exception):
    """Files that are neither in the cache nor, as far as is known, on the Hub."""

    def __init__(self, filenames: Sequence[str], because: str | None) -> None:
        super().__init__(", ".join(filenames))
        self.filenames = list(filenames)
        self.because = because
        """Why the Hub was not asked; None when it was."""


def why_unreachable(error: BaseException) -> str:
    """Say what the network or the Hub did, for an error that `is_unreachable`. Names the host at most."""
    if isinstance(error, hub.HfHubHTTPError):
        return f"the Hub answered with status {_status(error)}"
    return f"the Hub cannot be reached ({_reason(error)})"


def is_unreachable(error: BaseException) -> bool:
    """Whether the Hub gave no usable answer, so a cached copy may stand in: no network, 5xx, 429."""
    if isinstance(error, hub.HfHubHTTPError):
        return _status(error) >= 500 or _status(error) in (408, 429)
    return _is_transport(error)


def translate(
    error: BaseException,
    name: str,
    revision: str | None,
    *,
    filename: str | None = None,
    num_bytes: int | None = None,
) -> ModelError:
    """Explain a failure to get a model from the Hub.

    Args:
        error: What was raised.
        name: The model's name on the Hub.
        revision: The revision asked for.
        filename: The file being fetched, where it was one.
        num_bytes: How much was about to be downloaded, where known.

    Returns:
        The error to raise.
    """
    problem, why, fix = _parts(error, name, revision, filename, num_bytes)
    denied = isinstance(error, hub.HfHubHTTPError) and not isinstance(error, hub.RevisionNotFoundError)
    if denied and isinstance(
        huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision), str
    ):
        fix += "; HF_HUB_OFFLINE=1 uses the copy in the local cache"
    where = f'base model "{name}"' + (f", revision {revision}" if revision else "") + f", {_endpoint()}"
    return ModelError(explain(problem, where=where, why=why, fix=fix))


def _parts(
    error: BaseException, name: str, revision: str | None, filename: str | None, num_bytes: int | None
) -> tuple[str, str, str]:
    """Problem, why and fix of a failure, the most specific first."""
    if isinstance(error, Missing):
        return _missing(error, name)
    if isinstance(error, hub.OfflineModeIsEnabled):
        return _missing(Missing([filename or "config.json"], "HF_HUB_OFFLINE is set"), name)
    if isinstance(error, hub.LocalEntryNotFoundError) and error.__cause__ is not None:
        return _parts(error.__cause__, name, revision, filename, num_bytes)
    if isinstance(error, hub.GatedRepoError):
        return _gated(name)
    if isinstance(error, hub.RepositoryNotFoundError):
        return _not_found(name)
    if isinstance(error, hub.DisabledRepoError):
        return (
            f'the Hub has disabled "{name}"',
            "its owner or the Hub took it down",
            "choose another base model",
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return _no_revision(name, revision)
    if isinstance(error, hub.EntryNotFoundError):
        return _missing(Missing([filename or "a file"], None), name)
    if isinstance(error, hub.HFValidationError):
        return f'"{name}" is neither a folder nor a name on the Hub', _NAMES, suggestion(name)
    if isinstance(error, hub.HfHubHTTPError):
        return _refused(_status(error), name)
    if _is_transport(error):
        return _broken_off(error, name, filename) if filename else _unreachable(error, name)
    if isinstance(error, OSError) and error.errno in _FULL:
        return _disk_full(name, num_bytes)
    if isinstance(error, OSError) and error.errno in _LOCKED:
        return (
            f'the cache for "{name}" cannot be written',
            f"{os.strerror(error.errno)}: {error.filename or constants.HF_HUB_CACHE}",
            "set HF_HOME to a folder you may write to, or give this one back its permissions",
        )
    what = f"{filename} of " if filename else ""
    return (
        f'{what}"{name}" could not be downloaded',
        f"{type(error).__name__}: {redacted(str(error))}",
        "run it again; if it stays, download the model by other means and give its folder as base",
    )


_NAMES = "a name on the Hub is NAME or OWNER/NAME, in letters, digits and . _ -"


def suggestion(name: str) -> str:
    """Say which cached model or local folder may have been meant."""
    fix = nearest(name, {*cached_names(), *folders_beside(name)} - {name})
    return f"{fix} (cached models and local folders)"


def folders_beside(path: str) -> list[str]:
    """Name the folders that lie where this path would, in the form the path was written."""
    parent = Path(os.path.expanduser(path)).parent
    try:
        folders = [
            entry.name for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        ]
    except OSError:
        return []
    return [str(Path(path).parent / folder) for folder in folders]


def cached_names() -> list[str]:
    """Name the models in the local cache, as in "Qwen/Qwen2.5-0.5B"."""
    cache = Path(constants.HF_HUB_CACHE)
    names = cache.glob("models--*") if cache.is_dir() else ()
    return [entry.name[len("models--") :].replace("--", "/") for entry in names]


def _gated(name: str) -> tuple[str, str, str]:
    page = f"{_endpoint()}/{name}"
    if get_token() is None:
        fix = f'accept the terms at {page}, then run "hf auth login" or set HF_TOKEN'
    else:
        fix = f"accept the terms at {page} with the account of your token, and give the token read access"
    return (
        f'"{name}" is gated, and the Hub does not give it to you',
        f"it is for accounts that accepted its terms; {_token_state()}",
        fix,
    )


def _not_found(name: str) -> tuple[str, str, str]:
    login = (
        'a private one needs "hf auth login" or HF_TOKEN'
        if get_token() is None
        else "a private one needs access"
    )
    return (
        f'the Hub has no model "{name}", or it is private',
        f"there is no folder of this name either; {_token_state()}",
        f"{suggestion(name)}; {login}",
    )


def _no_revision(name: str, revision: str | None) -> tuple[str, str, str]:
    return (
        f'"{name}" has no revision "{revision}"',
        "a revision is a branch, a tag or a commit of the model's repository",
        f"{nearest(revision or '', _refs(name))}; without a revision the main branch is used",
    )


def _refused(status: int, name: str) -> tuple[str, str, str]:
    if status == 401:
        return (
            f'the Hub does not accept the token, so "{name}" cannot be fetched',
            f"status 401; {_token_state()}",
            'run "hf auth login" again, or correct or unset HF_TOKEN',
        )
    if status == 403:
        return (
            f'the Hub forbids access to "{name}"',
            f"status 403; {_token_state()}",
            'ask its owner for access, then run "hf auth login" or set HF_TOKEN to a token with read access',
        )
    if status == 429:
        return (
            f'the Hub is limiting requests, so "{name}" cannot be fetched now',
            f"status 429; {_token_state()}",
            'wait a few minutes; a login ("hf auth login" or HF_TOKEN) has a higher limit',
        )
    if status >= 500:
        return (
            f'the Hub failed while asked for "{name}"',
            f"status {status}: the fault is on its side",
            "try again later (https://status.huggingface.co), or give a local folder as base",
        )
    return (
        f'the Hub refused the request for "{name}"',
        f"status {status}",
        "check the name, HF_ENDPOINT and the proxy settings",
    )


def _unreachable(error: BaseException, name: str) -> tuple[str, str, str]:
    return (
        f'the Hub cannot be reached, and "{name}" is neither a folder nor in the local cache',
        _reason(error),
        "check the network, the proxy and HF_ENDPOINT, or give a local folder as base, or copy "
        f"{constants.HF_HUB_CACHE} from a machine that has the model; {suggestion(name)}",
    )


def _broken_off(error: BaseException, name: str, filename: str) -> tuple[str, str, str]:
    return (
        f'the download of {filename} of "{name}" broke off',
        _reason(error),
        "run it again: files that are complete are kept",
    )


def _missing(error: Missing, name: str) -> tuple[str, str, str]:
    files = ", ".join(error.filenames)
    if error.because is None:
        return (
            f'"{name}" has no {files}',
            "the Hub answered, and its repository does not hold the file",
            "choose a repository with config.json, tokenizer files and safetensors weights",
        )
    online = (
        "unset HF_HUB_OFFLINE and run it once with network"
        if constants.HF_HUB_OFFLINE
        else "run it again later"
    )
    if error.filenames == ["config.json"]:
        problem = f'"{name}" is not in the local cache'
        return problem, f"{error.because}, so only cached models can be used", f"{online}; {suggestion(name)}"
    return f'the cached copy of "{name}" lacks {files}', error.because, f"{online}, to complete the download"


def _disk_full(name: str, num_bytes: int | None) -> tuple[str, str, str]:
    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    needs = f"{num_bytes / 2**30:.2f} GiB to download, " if num_bytes else ""
    return (
        f'the disk is too full to download "{name}"',
        f"{needs}{free:.2f} GiB free at {constants.HF_HUB_CACHE}",
        'free some space ("hf cache ls" lists what is cached), or set HF_HOME to a larger disk',
    )


def _reason(error: BaseException) -> str:
    """What the network did, in words of ours."""
    kind, text, host = type(error).__name__, str(error), urlsplit(constants.ENDPOINT).hostname
    if "Timeout" in kind or isinstance(error, TimeoutError):
        return f"no answer within {constants.HF_HUB_ETAG_TIMEOUT} s; HF_HUB_ETAG_TIMEOUT sets the limit"
    if "Proxy" in kind:
        return "the proxy refused or failed; see HTTPS_PROXY and HTTP_PROXY"
    if (
        "getaddrinfo" in text
        or isinstance(error, socket.gaierror)
        or re.search(r"Name or service|resolution", text)
    ):
        return f"the host name {host} could not be resolved"
    if "refused" in text:
        return f"{host} refused the connection"
    if "CERTIFICATE" in text.upper():
        return f"the certificate of {host} is not trusted here; a proxy may be in between"
    if "Protocol" in kind:
        return f"{host} broke off the answer, or HF_ENDPOINT is not an address of a Hub"
    return f"the connection to {host} failed ({kind})"


def _status(error: hub.HfHubHTTPError) -> int:
    return error.response.status_code if error.response is not None else 0


def _is_transport(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        return True
    return type(error).__module__.startswith(_HTTP_MODULES)


def _refs(name: str) -> list[str]:
    """The branches and tags of a model; empty when the Hub will not say."""
    address = f"{constants.ENDPOINT}/api/models/{name}/refs"
    try:
        answer = utils.get_session().get(
            address, headers=utils.build_hf_headers(), timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        refs = answer.json()
        return [ref["name"] for kind in ("branches", "tags") for ref in refs.get(kind, [])]
    except Exception:  # a suggestion is not worth a second failure
        return []


def _endpoint() -> str:
    """The Hub's address without user name and password."""
    split = urlsplit(constants.ENDPOINT)
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()


def _token_state() -> str:
    return "no token is set here" if get_token() is None else "a token is set here"


def redacted(text: str) -> str:
    """The first line of a foreign message, without tokens and credentials."""
    line = text.strip().splitlines()[0][:200] if text.strip() else "no message"
    token = get_token()
    if token:
        line = line.replace(token, "***")
    return re.sub(r"hf_[A-Za-z0-9]{8,}|(?<=//)[^/@\s]+(?=@)|(?<=\?)\S+", "***", line)
