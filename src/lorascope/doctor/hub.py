"""How models would be fetched: the cache, the Hub's address, the offline switch, the token. Asks nobody."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lorascope.doctor import storage
from lorascope.doctor.check import Check, fail, ok, warn

_TRUE = ("1", "ON", "YES", "TRUE")


def examine(environ: Mapping[str, str]) -> list[Check]:
    """Check the model cache and the settings of the Hub's client.

    Args:
        environ: The environment variables.

    Returns:
        A check of the cache and one of the settings. No token is ever shown, only whether there is one.
    """
    return [storage.disk("model cache", cache_folder(environ)), settings(environ)]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where models are cached: HF_HUB_CACHE, or hub/ in HF_HOME, or in the user's cache.

    Args:
        environ: The environment variables.

    Returns:
        The folder, there or not.
    """
    home = environ.get("HF_HOME") or f"{environ.get('XDG_CACHE_HOME', '~/.cache')}/huggingface"
    return Path(
        environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    ).expanduser()


def settings(environ: Mapping[str, str]) -> Check:
    """Check the address, the offline switch and the token.

    Args:
        environ: The environment variables.

    Returns:
        "fail" for an address that is none, "warn" when the switch is on.
    """
    address = environ.get("HF_ENDPOINT") or "https://huggingface.co"
    split = urlsplit(address)
    if split.scheme not in ("http", "https") or not split.hostname:
        return fail(
            "model hub", "HF_ENDPOINT is not an address", "write it as https://huggingface.co, or unset it"
        )
    shown = split._replace(netloc=split.netloc.rpartition("@")[2], query="", fragment="").geturl()
    token = "a token is set" if _has_token(environ) else "no token, so public models only"
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if environ.get(switch, "").upper() in _TRUE:
            models = len(list(cache_folder(environ).glob("models--*")))
            found = f"{switch} is set: only cached models can be used, and there are {models}"
            return warn("model hub", found, f"unset {switch} to download others")
    return ok("model hub", f"{shown}; {token}; not contacted")


def _has_token(environ: Mapping[str, str]) -> bool:
    if environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    home = environ.get("HF_HOME") or f"{environ.get('XDG_CACHE_HOME', '~/.cache')}/huggingface"
    return Path(environ.get("HF_TOKEN_PATH") or f"{home}/token").expanduser().is_file()
