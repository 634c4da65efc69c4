"""Conversations -> encoded examples, and which of them are too long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.lm.template import Encoded, Template, TemplateRefusal
from lorascope.prepare.read import BadRow, excerpt_of
from lorascope.prepare.rows import Conversation

_AT_ONCE = 1000  # rows handed to the tokenizer in one call: it runs them in parallel


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A conversation and its token ids."""

    conversation: Conversation
    encoded: Encoded

    @property
    def num_tokens(self) -> int:
        """Length in tokens."""
        return len(self.encoded.input_ids)


def tokenise(
    conversations: Sequence[Conversation], template: Template, advance: Callable[[int], None]
) -> list[Tokenised | BadRow]:
    """Encode conversations in their order.

    Args:
        conversations: What to encode.
        template: How.
        advance: Told how many were just done.

    Returns:
        For each the encoding, or a bad row where the template cannot express it.
    """
    done: list[Tokenised | BadRow] = []
    for start in range(0, len(conversations), _AT_ONCE):
        batch = conversations[start : start + _AT_ONCE]
        try:
            encoded = template.encode_all([one.messages for one in batch])
            done += [Tokenised(one, ids) for one, ids in zip(batch, encoded, strict=True)]
        except TemplateRefusal:
            done += [_one_by_one(one, template) for one in batch]
        advance(len(batch))
    return done


def _one_by_one(conversation: Conversation, template: Template) -> Tokenised | BadRow:
    try:
        return Tokenised(conversation, template.encode(conversation.messages))
    except TemplateRefusal as error:
        return BadRow(
            conversation.line,
            f"template_refuses: {error}",
            excerpt_of(conversation.messages[0].content),
            conversation.row,
        )


def resolve_max_length(asked: str | int, lengths: Sequence[int], context: int | None) -> int:
    """Say how long an example may be.

    Args:
        asked: "auto", which is the 99.5th percentile of the lengths, or a number of tokens.
        lengths: Tokens of every example, not empty.
        context: The base model's limit in tokens, None where it has none.

    Returns:
        Tokens; never more than the context.
    """
    wanted = int(np.ceil(np.percentile(lengths, 99.5))) if asked == "auto" else int(asked)
    return wanted if context is None else min(wanted, context)


def length_summary(lengths: Sequence[int]) -> dict[str, object]:
    """Median, tail and a histogram of example lengths in tokens; counts per bin of equal width."""
    if not lengths:
        return {"num": 0}
    counts, edges = np.histogram(lengths, bins=min(30, max(1, len(set(lengths)))))
    median, p90, p99 = np.percentile(lengths, [50, 90, 99])
    return {
        "num": len(lengths),
        "min": int(min(lengths)),
        "median": float(median),
        "p90": float(p90),
        "p99": float(p99),
        "max": int(max(lengths)),
        "histogram": {"counts": counts.tolist(), "edges": [round(float(edge), 2) for edge in edges]},
    }
