"""The texts of a run's examples: prepare/examples.parquet read back."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain
from lorascope.run.message import Message, message_of

SOURCE, OVERLAP = "data source", "overlap with training"
"""Columns that metrics are broken down by without being asked, where they tell examples apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleText:
    """What an example says.

    Attributes:
        example_id: Names the row for good.
        split: Where it went.
        messages: Its turns.
        tools: JSON text of the schemas of its tools; "" for none.
        learnt: Places of the turns that are targets.
        target_text: The text of its targets, without stop tokens.
        target_bytes: Length of that in UTF-8.
        labels: The row's other short columns, by name.
        source: Name of its source.
        cut: What of it was cut to make it fit, "prompt" or "response"; None where it is whole.
        overlap: How it overlaps with training, as of `prepare.overlap.CODES`; None for no overlap.
    """

    example_id: str
    split: str
    messages: tuple[Message, ...]
    tools: str
    learnt: tuple[int, ...]
    target_text: str
    target_bytes: int
    labels: dict[str, str]
    source: str = ""
    cut: str | None = None
    overlap: str | None = None

    def group(self, column: str) -> str:
        """Its value in a column to break metrics down by: one of its row's, `SOURCE` or `OVERLAP`."""
        if column == SOURCE:
            return self.source
        if column == OVERLAP:
            return (self.overlap or "none").replace("_", " ")
        return self.labels.get(column, "")

    @property
    def has_prompt(self) -> bool:
        """Whether it is a conversation, which can be answered, and not plain text."""
        return self.messages[-1].role == "assistant"


def read_sources(path: Path) -> dict[str, str]:
    """Read the data source of every example by its id; empty where there is only one, or no such file."""
    import pyarrow.parquet as pq

    if not path.is_file() or "source" not in pq.read_schema(path).names:
        return {}
    columns = pq.read_table(path, columns=["example_id", "source"]).to_pydict()
    if len(set(columns["source"])) < 2:
        return {}
    return dict(zip(columns["example_id"], columns["source"], strict=True))


def read_texts(path: Path) -> list[ExampleText]:
    """Read examples.parquet.

    Raises:
        RunError: It is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stored = set(pq.read_schema(path).names)  # an earlier version wrote fewer columns
        columns = [one.name for one in fields(ExampleText) if one.name in stored or one.default is MISSING]
        rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            explain(
                "the texts of the run's examples cannot be read",
                where=str(path),
                why=str(error).splitlines()[0][:100],
                fix="run lorascope prepare again with --overwrite",
            )
        ) from error
    return [
        ExampleText(
            **{
                **row,
                "messages": tuple(message_of(one) for one in row["messages"]),
                "learnt": tuple(row["learnt"]),
                "labels": json.loads(row["labels"]),
            }
        )
        for row in rows
    ]


def answer_bytes(examples: Path, ids: Sequence[str]) -> dict[str, int]:
    """UTF-8 bytes of the answer of each validation row; empty where they are not on record."""
    if not ids or not examples.is_file():
        return {}
    import pyarrow.parquet as pq

    wanted = set(ids)
    table = pq.read_table(examples, columns=["example_id", "target_bytes"])
    rows = zip(table.column("example_id").to_pylist(), table.column("target_bytes").to_pylist(), strict=True)
    return {one: int(size) for one, size in rows if one in wanted and size is not None}
