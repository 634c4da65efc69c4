"""Tokenised examples -> the files of prepare/: a DatasetDict for any trainer, and the texts beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lorascope.prepare.read import BadRow
from lorascope.prepare.tokenise import Tokenised
from lorascope.run.message import as_record


def write_dataset(folder: Path, splits: Mapping[str, Sequence[Tokenised]]) -> None:
    """Write a Hugging Face DatasetDict: unpadded input_ids, attention_mask, labels, and example_id.

    Args:
        folder: Where to; read it with `datasets.load_from_disk`.
        splits: Split name to its examples, in order.
    """
    import datasets

    features = datasets.Features(
        {
            "input_ids": datasets.List(datasets.Value("int32")),
            "attention_mask": datasets.List(datasets.Value("int8")),
            "labels": datasets.List(datasets.Value("int64")),
            "example_id": datasets.Value("string"),
        }
    )
    made = {}
    for split, examples in splits.items():
        columns = {
            "input_ids": [one.encoded.input_ids for one in examples],
            "attention_mask": [[1] * one.num_tokens for one in examples],
            "labels": [one.encoded.labels for one in examples],
            "example_id": [one.example_id for one in examples],
        }
        made[split] = datasets.Dataset.from_dict(columns, features=features)
    progress = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        datasets.DatasetDict(made).save_to_disk(str(folder))
    finally:
        if progress:
            datasets.enable_progress_bars()


def write_texts(path: Path, splits: Mapping[str, Sequence[Tokenised]]) -> None:
    """Write examples.parquet: what each example says, where it came from, its targets' bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "example_id": one.example_id,
            "split": split,
            "file": one.conversation.file,
            "line": one.conversation.line,
            "row": one.conversation.row,
            "messages": [as_record(message) for message in one.messages],
            "tools": one.conversation.tools,
            "learnt": list(one.encoded.learnt),
            "target_text": one.encoded.target_text,
            "target_bytes": len(one.encoded.target_text.encode("utf-8", errors="replace")),
            "num_tokens": one.num_tokens,
            "labels": json.dumps(dict(one.conversation.labels), ensure_ascii=False),
        }
        for split, examples in splits.items()
        for one in examples
    ]
    call = pa.struct([("name", pa.string()), ("arguments", pa.string()), ("call_id", pa.string())])
    message = pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("context", pa.string()),
            ("reasoning", pa.string()),
            ("tool_calls", pa.list_(call)),
            ("tool_name", pa.string()),
            ("call_id", pa.string()),
            ("train", pa.bool_()),
        ]
    )
    schema = pa.schema(
        [
            ("example_id", pa.string()),
            ("split", pa.string()),
            ("file", pa.string()),
            ("line", pa.int64()),
            ("row", pa.int64()),
            ("messages", pa.list_(message)),
            ("tools", pa.string()),
            ("learnt", pa.list_(pa.int32())),
            ("target_text", pa.string()),
            ("target_bytes", pa.int64()),
            ("num_tokens", pa.int32()),
            ("labels", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def write_dropped(path: Path, dropped: Sequence[tuple[str, BadRow]]) -> None:
    """Write dropped.jsonl: one line per dropped row with file, line, row, reason and excerpt."""
    with path.open("w", encoding="utf-8") as file:
        for name, bad in dropped:
            entry = {
                "file": name,
                "line": bad.line,
                "row": bad.row,
                "reason": bad.reason,
                "excerpt": bad.excerpt,
            }
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
