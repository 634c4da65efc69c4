"""Is the tokenizer saved with an adapter the one its base has? If not, ids mean something else to it."""

from pathlib import Path
from typing import Any

from lorascope.lm.find import tokenizer_folder
from lorascope.lm.load import load_tokenizer

_SHOWN = 3


def tokenizer_difference(adapter: Path | None, base_tokenizer: Any) -> str | None:
    """Say how the tokenizer beside an adapter differs from its base's.

    Args:
        adapter: Its folder.
        base_tokenizer: The one that is used.

    Returns:
        The differences in one sentence; None where there are none, or no tokenizer was saved with it.

    Raises:
        ModelError: The saved tokenizer cannot be read.
    """
    if adapter is None or tokenizer_folder(str(adapter)) is None:
        return None
    own = load_tokenizer(str(adapter))
    parts = [
        part
        for part in (
            _vocabulary(own.get_vocab(), base_tokenizer.get_vocab()),
            *(_special(name, own, base_tokenizer) for name in ("bos_token", "eos_token", "unk_token")),
            _chat_template(own, base_tokenizer),
        )
        if part
    ]
    return (
        f"the tokenizer saved with the adapter differs from the base's: {'; '.join(parts)}" if parts else None
    )


def _vocabulary(own: dict[str, int], base: dict[str, int]) -> str | None:
    more = sorted(own.keys() - base.keys(), key=own.__getitem__)
    gone = sorted(base.keys() - own.keys(), key=base.__getitem__)
    moved = sum(base[token] != place for token, place in own.items() if token in base)
    told = [
        f"{len(tokens):,} tokens {what} ({', '.join(tokens[:_SHOWN])})"
        for tokens, what in ((more, "more"), (gone, "fewer"))
        if tokens
    ]
    return ", ".join([*told, *([f"{moved:,} tokens have other ids"] if moved else [])]) or None


def _special(name: str, own: Any, base: Any) -> str | None:
    mine, theirs = getattr(own, name), getattr(base, name)
    return None if mine == theirs else f"{name} is {mine}, the base's {theirs}"


def _chat_template(own: Any, base: Any) -> str | None:
    if own.chat_template == base.chat_template:
        return None
    return "its chat template is " + ("missing" if own.chat_template is None else "another")
