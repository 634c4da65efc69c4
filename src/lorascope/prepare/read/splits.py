"""Names that people give to splits -> train, validation, test."""

import re

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""As `datasets` understands them, so that a folder means the same to both."""
_WORD = re.compile(r"[a-z]+")


def canonical_split(name: str) -> str | None:
    """What a name alone says: "valid" is validation; None for any other word."""
    return SPLIT_NAMES.get(name.lower())


def split_in_path(path: str) -> str | None:
    """The split that a file's name, or else one of its folders, names as a word.

    "data/my-test_01.jsonl" is test; "latest.jsonl" is none.
    """
    for part in reversed(path.lower().split("/")):
        for word in _WORD.findall(part):
            if word in SPLIT_NAMES:
                return SPLIT_NAMES[word]
    return None
