"""Pieces of a conversation's text: what the template says, and what is to be learnt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorascope.run.message import Message

NOTHING_LEARNT = "no turn of it is to be learnt"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that is encoded by itself.

    Attributes:
        text: What stands there.
        is_answer: Whether the assistant says it, so that a stop token follows.
        is_target: Whether the model is to learn it; only answers are.
    """

    text: str
    is_answer: bool = False
    is_target: bool = False


class TemplateRefusal(Exception):
    """A conversation that this template cannot express; prepare drops the row with this reason."""


def learnt_turns(messages: Sequence[Message], targets: str) -> list[int]:
    """Say which assistant turns are targets.

    Args:
        messages: A conversation.
        targets: "all" or "last"; a turn's own `train` decides before it.

    Returns:
        Their places in the conversation, in order.

    Raises:
        TemplateRefusal: There is none.
    """
    turns = [turn for turn, message in enumerate(messages) if message.role == "assistant"]
    chosen = turns if targets == "all" else turns[-1:]
    learnt = [turn for turn in turns if _is_learnt(messages[turn], turn in chosen)]
    if not learnt:
        raise TemplateRefusal(NOTHING_LEARNT)
    return learnt


def _is_learnt(message: Message, otherwise: bool) -> bool:
    return otherwise if message.train is None else message.train


def merged(messages: Sequence[Message]) -> list[Message]:
    """Join what an assistant says in several messages in a row: templates know one turn at a time.

    What is to be learnt is not joined with what is not.
    """
    out: list[Message] = []
    for message in messages:
        last = out[-1] if out else None
        apart = last is not None and (last.train is False) != (message.train is False)
        if last is None or message.role != "assistant" or last.role != "assistant" or apart:
            out.append(message)
            continue
        out[-1] = replace(
            last,
            content="\n\n".join(text for text in (last.content, message.content) if text),
            reasoning="\n\n".join(text for text in (last.reasoning, message.reasoning) if text),
            tool_calls=last.tool_calls + message.tool_calls,
            train=_both(last.train, message.train),
        )
    return out


def _both(first: bool | None, second: bool | None) -> bool | None:
    said = [one for one in (first, second) if one is not None]
    return all(said) if said else None
