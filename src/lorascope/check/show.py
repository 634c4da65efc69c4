"""An example as decoded tokens, each marked as target or not."""

from typing import Any

from lorascope.run.dataset import IGNORE, Example


def marked_tokens(example: Example, tokenizer: Any) -> list[tuple[str, bool]]:
    """Decode an example run by run.

    Args:
        example: What to show.
        tokenizer: Its tokenizer.

    Returns:
        Pieces of text with whether they are targets, in order; neighbours of one kind are decoded together,
        so that characters made of several tokens stay whole.
    """
    pieces: list[tuple[str, bool]] = []
    start = 0
    flags = (example.labels != IGNORE).tolist()
    for end in range(1, len(flags) + 1):
        if end == len(flags) or flags[end] != flags[start]:
            pieces.append((tokenizer.decode(example.input_ids[start:end].tolist()), flags[start]))
            start = end
    return pieces
