"""Rows -> examples in an Arrow batch, and what the decisions need of them: the part that runs in parallel."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lorascope.lm.segments import NOTHING_LEARNT, TemplateRefusal, merged
from lorascope.lm.template import Encoded, Template
from lorascope.prepare.facts import Facts, facts_of
from lorascope.prepare.overlap import text_hash
from lorascope.prepare.read import BadRow, SourceRow, excerpt_of
from lorascope.prepare.read.splits import canonical_split
from lorascope.prepare.shapes.conversation import Conversation, conversations_of
from lorascope.prepare.shapes.shape import NotChosen, Shape
from lorascope.prepare.split import answer_key, prompt_key
from lorascope.prepare.staged import MESSAGE, SCHEMA
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message
from lorascope.run.splits import ANY_SIDE, SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What some neighbouring rows of a file came to.

    Whoever read them does not know where they stand in it: rows are counted from 1, and ids are what follows
    the row's number in them, until `placed`.

    Attributes:
        batch: Their examples, by `staged.SCHEMA`.
        facts: Of these examples.
        bad: Malformed rows.
        num_rows: Rows, good and bad.
        tally: Counts of what is said in the report, by name: "not_chosen", "unanswered", "rejected",
            "odd/NAME", "omitted/NAME", "split_conversations".
    """

    batch: pa.RecordBatch
    facts: Facts
    bad: list[BadRow]
    num_rows: int
    tally: Counter[str]

    def placed(self, *, source: str, file: str, first_row: int, origin: int, side: int) -> "Worked":
        """The same, told where its rows stand.

        Args:
            source: Name of the source.
            file: As in example ids.
            first_row: 1-based count of the first row in the file.
            origin: Place of the source among the sources.
            side: As in `Facts`.
        """
        num = self.batch.num_rows
        row = pc.add(self.batch.column("row"), first_row - 1)
        ids = pc.binary_join_element_wise(
            f"{file}#", pc.cast(row, pa.string()), self.batch.column("example_id"), ""
        )
        columns = {
            "example_id": ids,
            "source": pa.repeat(source, num),
            "file": pa.repeat(file, num),
            "row": row,
        }
        arrays = [columns.get(name, self.batch.column(name)) for name in SCHEMA.names]
        own_N = self.facts.side_N  # as the rows say; all ANY_SIDE where none does
        facts = replace(
            self.facts,
            origin_N=np.full(num, origin, dtype=np.int16),
            side_N=own_N if side == ANY_SIDE else np.full(num, side, dtype=np.int8),
        )
        return replace(
            self,
            batch=pa.RecordBatch.from_arrays(arrays, schema=SCHEMA),
            facts=facts,
            bad=[replace(one, row=one.row + first_row - 1, file=file) for one in self.bad],
        )


def work(
    rows: Iterable[SourceRow | BadRow],
    *,
    shape: Shape,
    template: Template,
    targets: str,
) -> Worked:
    """Read, word and tokenise some rows.

    Args:
        rows: As found.
        shape: What they are.
        template: How conversations become tokens.
        targets: "all" assistant turns or the "last".
    """
    bad: list[BadRow] = []
    tally: Counter[str] = Counter()
    conversations: list[Conversation] = []
    number = 0
    for number, row in enumerate(rows, start=1):
        if isinstance(row, BadRow):
            bad.append(replace(row, row=number))
            continue
        for one in conversations_of(row, shape, "", number):
            if isinstance(one, Conversation):
                conversations.append(replace(one, messages=tuple(merged(one.messages))))
            elif isinstance(one, NotChosen):
                tally["not_chosen"] += 1
            else:
                bad.append(one)
    encoded = template.encode_all([(one.messages, one.tools) for one in conversations], targets=targets)
    examples: list[tuple[Conversation, Encoded, str]] = []
    for conversation, several in zip(conversations, encoded, strict=True):
        if isinstance(several, TemplateRefusal):
            bad.append(_refused(conversation, several))
            continue
        _count(tally, conversation, several)
        examples += _named(conversation, several)
    bad.sort(key=lambda one: one.row)
    facts = _facts(examples, shape.split_column)
    return Worked(batch=_batch(examples), facts=facts, bad=bad, num_rows=number, tally=tally)


def _named(conversation: Conversation, several: Sequence[Encoded]) -> list[tuple[Conversation, Encoded, str]]:
    """Examples with the ends of their ids: .part, and /count where a template splits a conversation."""
    own = f".{conversation.part}" if conversation.part else ""
    if len(several) == 1:
        return [(conversation, several[0], own)]
    return [(conversation, one, f"{own}/{count}") for count, one in enumerate(several, start=1)]


def _refused(conversation: Conversation, refusal: TemplateRefusal) -> BadRow:
    excerpt = excerpt_of(conversation.messages[0].content)
    reason = "nothing_to_train" if str(refusal) == NOTHING_LEARNT else f"template_refuses: {refusal}"
    return BadRow(conversation.line, reason, excerpt, conversation.row)


def _count(tally: Counter[str], conversation: Conversation, several: Sequence[Encoded]) -> None:
    tally["unanswered"] += conversation.num_unanswered > 0
    tally["rejected"] += conversation.num_rejected
    tally["split_conversations"] += len(several) > 1
    tally.update(f"odd/{name}" for name in conversation.odd)
    tally.update(f"omitted/{name}" for name in {name for one in several for name in one.omitted})


def _facts(examples: Sequence[tuple[Conversation, Encoded, str]], split_column: str | None) -> Facts:
    said = [conversation.messages[: one.num_turns] for conversation, one, _ in examples]
    return facts_of(
        {
            "prompt_N": [text_hash(prompt_key(messages)) for messages in said],
            "answer_N": [text_hash(answer_key(messages)) for messages in said],
            "side_N": [_side(conversation, split_column) for conversation, _, _ in examples],
            "num_tokens_N": [len(one.input_ids) for _, one, _ in examples],
            "num_targets_N": [len(one.labels) - one.labels.count(IGNORE) for _, one, _ in examples],
        }
    )


def _side(conversation: Conversation, split_column: str | None) -> int:
    """The side that a row names for itself; training rows are dealt as any others."""
    named = canonical_split(conversation.labels.get(split_column, "")) if split_column else None
    return ANY_SIDE if named in (None, "train") else SPLITS.index(str(named))


def _batch(examples: Sequence[tuple[Conversation, Encoded, str]]) -> pa.RecordBatch:
    encoded = [one for _, one, _ in examples]
    conversations = [conversation for conversation, _, _ in examples]
    turns = [conversation.messages[: one.num_turns] for conversation, one, _ in examples]
    columns: dict[str, list[Any]] = {
        "example_id": [name for _, _, name in examples],
        "source": [""] * len(examples),
        "file": [""] * len(examples),
        "line": [one.line for one in conversations],
        "row": [one.row for one in conversations],
        "tools": [one.tools for one in conversations],
        "learnt": [list(one.learnt) for one in encoded],
        "target_text": [one.target_text for one in encoded],
        "target_bytes": [len(one.target_text.encode("utf-8", errors="replace")) for one in encoded],
        "num_tokens": [len(one.input_ids) for one in encoded],
        "labels": [json.dumps(dict(one.labels), ensure_ascii=False) for one in conversations],
        "odd": [list(one.odd) for one in conversations],
        "cut": [None] * len(examples),
        "input_ids": [one.input_ids for one in encoded],
        "targets": [one.labels for one in encoded],
    }
    arrays = [
        _messages(turns) if name == "messages" else pa.array(columns[name], type=kind)
        for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _messages(turns: Sequence[Sequence[Message]]) -> pa.ListArray:
    """Lists of turns, field by field: a tenth of the time that turns as mappings take."""
    every = [message for own in turns for message in own]
    calls = [[asdict(call) for call in message.tool_calls] for message in every]
    fields = {
        field.name: pa.array(
            calls if field.name == "tool_calls" else [getattr(one, field.name) for one in every],
            type=field.type,
        )
        for field in MESSAGE
    }
    ends = np.cumsum([0, *map(len, turns)], dtype=np.int32)
    struct = pa.StructArray.from_arrays(list(fields.values()), fields=list(MESSAGE))
    return pa.ListArray.from_arrays(pa.array(ends), struct, type=pa.list_(MESSAGE))
