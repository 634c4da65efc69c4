"""What is read of a file by one reader."""

from dataclasses import dataclass

from lorascope.prepare.read.rows import Reader


@dataclass(frozen=True, slots=True)
class Part:
    """A whole file, or one list in a JSON file.

    Attributes:
        reader: How it is read.
        split: "train", "validation" or "test" where something says so.
        key: The list's key, where the file holds several.
        notes: What else the user should know.
    """

    reader: Reader
    split: str | None = None
    key: str | None = None
    notes: tuple[str, ...] = ()
