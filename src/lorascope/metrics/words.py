"""What makes two texts the same but for trivial variants, and what counts as a word."""

import re
import unicodedata

WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
"""A word; of scripts that are written without spaces, a character."""


def normalised(text: str) -> str:
    """Fold case, Unicode form and white space, so that trivial variants of a text compare equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
