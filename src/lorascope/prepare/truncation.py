"""Examples that are too long: made to fit by cutting the prompt or the answer, never without saying so."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lorascope.lm.segments import TemplateRefusal
from lorascope.lm.template import Encoded, Template
from lorascope.prepare.facts import Facts
from lorascope.prepare.staged import SCHEMA, StagedFile
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message, as_record, message_of

GAP = "\n[...]\n"
"""Stands where the middle of a message was cut out: what is asked may stand at either end of it."""
_LEAST_KEPT = 8  # tokens of a text that is cut; less would be a question about nothing
_TRIES = 12
_ROWS_AT_ONCE = 1000


def truncate(staged: StagedFile, facts: Facts, template: Template, *, policy: str, max_length: int) -> Facts:
    """Make the examples that are too long fit, where that leaves something to learn.

    Args:
        staged: All examples; those that could be cut are replaced in it.
        facts: Of them.
        template: The run's.
        policy: "cut_prompt" or "cut_response".
        max_length: Longest example that fits.

    Returns:
        Facts with the new lengths; an example that cannot be cut stays too long.
    """
    places: list[int] = []
    long_N = facts.num_tokens_N > max_length
    cut = _cut_prompt if policy == "cut_prompt" else _cut_response

    def made() -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        wanted = iter(np.flatnonzero(long_N).tolist())
        for batch in staged.batches(long_N):
            for row in batch.to_pylist():
                place, shorter = next(wanted), cut(row, template, max_length)
                if shorter is not None:
                    places.append(place)
                    rows.append(shorter)
            if len(rows) >= _ROWS_AT_ONCE:
                yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
                rows.clear()
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)

    lengths = staged.replace(places, made())
    num_tokens_N, num_targets_N = facts.num_tokens_N.copy(), facts.num_targets_N.copy()
    for column, counted in ((num_tokens_N, "num_tokens"), (num_targets_N, "targets")):
        column[places] = lengths[counted]
    return replace(facts, num_tokens_N=num_tokens_N, num_targets_N=num_targets_N)


def _cut_response(row: dict[str, Any], template: Template, max_length: int) -> dict[str, Any] | None:
    """The first tokens; the stop token at the end is gone, and is not taught."""
    targets = row["targets"][:max_length]
    said = [label for label in targets if label != IGNORE]
    if not said:
        return None
    text = template.tokenizer.decode(said, skip_special_tokens=True).rstrip("\ufffd")
    messages = [message_of(one) for one in row["messages"]]
    learnt = [turn for turn in row["learnt"] if _begins(turn, messages, row["tools"], template) < max_length]
    return {
        **row,
        "input_ids": row["input_ids"][:max_length],
        "targets": targets,
        "target_text": text,
        "target_bytes": len(text.encode("utf-8", errors="replace")),
        "num_tokens": max_length,
        "learnt": learnt,
        "cut": "response",
    }


def _begins(turn: int, messages: Sequence[Message], tools: str, template: Template) -> int:
    """Where an answer begins, in tokens."""
    return 0 if messages[turn].role == "text" else len(template.encode_prompt(messages[:turn], tools))


def _cut_prompt(row: dict[str, Any], template: Template, max_length: int) -> dict[str, Any] | None:
    """The same conversation with its longest prompt text shortened, until it fits.

    What is learnt and what the system says stays whole; an Alpaca input loses its end, a message its middle.
    """
    messages = [message_of(one) for one in row["messages"]]
    learnt = tuple(row["learnt"])
    for _ in range(_TRIES):
        encoded = _encoded(messages, row["tools"], learnt, template)
        if encoded is None:
            return None
        if len(encoded.input_ids) <= max_length:
            return {
                **row,
                "messages": [as_record(one) for one in messages],
                "input_ids": encoded.input_ids,
                "targets": encoded.labels,
                "num_tokens": len(encoded.input_ids),
                "cut": "prompt",
            }
        shorter = _shorter(messages, learnt, template, len(encoded.input_ids) - max_length)
        if shorter is None:
            return None
        messages = shorter
    return None


def _encoded(
    messages: Sequence[Message], tools: str, learnt: Sequence[int], template: Template
) -> Encoded | None:
    """The conversation with the same turns learnt as before; None where the template gives something else."""
    chosen = [
        replace(one, train=turn in learnt) if one.role == "assistant" else one
        for turn, one in enumerate(messages)
    ]
    try:
        several = template.encode(chosen, tools)
    except TemplateRefusal:
        return None
    return several[0] if len(several) == 1 and several[0].learnt == tuple(learnt) else None


def _shorter(
    messages: Sequence[Message], learnt: Sequence[int], template: Template, over: int
) -> list[Message] | None:
    """Take so many tokens out of the longest text of the prompt; None where all are short."""
    parts = [
        (len(getattr(one, part)), turn, part)
        for turn, one in enumerate(messages)
        if turn not in learnt and one.role not in ("system", "text") and not one.tool_calls
        for part in ("context", "content")
    ]
    size, turn, part = max(parts, default=(0, 0, ""))
    if not size:
        return None
    one = messages[turn]
    cut = (
        _without_end(one.context, over, template)
        if part == "context"
        else _without_middle(one.content, over, template)
    )
    if cut is None or len(cut) >= size:
        return None
    shorter = replace(one, context=cut) if part == "context" else replace(one, content=cut)
    return [*messages[:turn], shorter, *messages[turn + 1 :]]


def _without_end(text: str, over: int, template: Template) -> str | None:
    ids = _ids(text, template)
    return _text(ids[:-over], template).rstrip("\ufffd") if len(ids) - over >= _LEAST_KEPT else None


def _without_middle(text: str, over: int, template: Template) -> str | None:
    """Both ends of a text with a gap between them; None where next to nothing would be left."""
    before, gap, after = text.partition(GAP)
    left, right = _ids(before, template), _ids(after if gap else before, template)
    num = len(left) + len(right) - over if gap else len(left) - over - len(_ids(GAP, template))
    if num < _LEAST_KEPT:
        return None
    half = num // 2
    return (
        _text(left[:half], template).rstrip("\ufffd") + GAP + _text(right[-half:], template).lstrip("\ufffd")
    )


def _ids(text: str, template: Template) -> list[int]:
    return list(template.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _text(ids: Sequence[int], template: Template) -> str:
    return str(template.tokenizer.decode(ids))
