"""Conversations -> encoded examples, and which of them are too long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.lm.segments import TemplateRefusal, merged
from lorascope.lm.template import Encoded, Template
from lorascope.prepare.read import BadRow, excerpt_of
from lorascope.prepare.rows import Conversation
from lorascope.run.message import Message

_AT_ONCE = 1000  # rows handed to the tokenizer in one call: it runs them in parallel


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A conversation, or its beginning up to a learnt turn, and its token ids.

    Attributes:
        conversation: Where it comes from.
        encoded: Its ids and labels.
        part: 1-based count of the examples that its conversation gave; None where it gave one.
    """

    conversation: Conversation
    encoded: Encoded
    part: int | None = None

    @property
    def example_id(self) -> str:
        """Names the example for good: file#row, or file#row/part."""
        own = self.conversation.example_id
        return own if self.part is None else f"{own}/{self.part}"

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns that it holds."""
        return tuple(merged(self.conversation.messages)[: self.encoded.num_turns])

    @property
    def num_tokens(self) -> int:
        """Length in tokens."""
        return len(self.encoded.input_ids)


def tokenise(
    conversations: Sequence[Conversation],
    template: Template,
    advance: Callable[[int], None],
    *,
    targets: str = "all",
) -> list[Tokenised | BadRow]:
    """Encode conversations in their order.

    Args:
        conversations: What to encode.
        template: How.
        advance: Told how many were just done.
        targets: "all" assistant turns or the "last".

    Returns:
        For each its examples, one unless the template rewrites earlier turns, or a bad row where the template
        cannot express it.
    """
    done: list[Tokenised | BadRow] = []
    for start in range(0, len(conversations), _AT_ONCE):
        batch = conversations[start : start + _AT_ONCE]
        encoded = template.encode_all([(one.messages, one.tools) for one in batch], targets=targets)
        for one, examples in zip(batch, encoded, strict=True):
            done += (
                [_refused(one, examples)] if isinstance(examples, TemplateRefusal) else _told(one, examples)
            )
        advance(len(batch))
    return done


def _told(conversation: Conversation, examples: Sequence[Encoded]) -> list[Tokenised]:
    if len(examples) == 1:
        return [Tokenised(conversation, examples[0])]
    return [Tokenised(conversation, one, part) for part, one in enumerate(examples, start=1)]


def _refused(conversation: Conversation, refusal: TemplateRefusal) -> BadRow:
    excerpt = excerpt_of(conversation.messages[0].content)
    return BadRow(conversation.line, f"template_refuses: {refusal}", excerpt, conversation.row)


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
