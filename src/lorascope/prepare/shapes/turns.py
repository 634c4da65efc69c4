"""Turns as found -> turns that can be learnt: joined, cut after the last answer, or refused by name."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.shape import Turns
from lorascope.prepare.shapes.signals import signals_of, text_signals
from lorascope.run.message import Message


def finished(
    messages: Sequence[Message],
    *,
    tools: str = "",
    num_rejected: int = 0,
    odd: Iterable[str] = (),
) -> Turns:
    """Make a conversation of turns.

    Turns of the user in a row are joined by a blank line, as are system prompts: most chat templates refuse
    them or write only one. Answers in a row stay apart, as agents that use tools give them. What stands
    behind the last answer is left out and counted: a question without its answer teaches nothing.

    Args:
        messages: As found, in order.
        tools: JSON text of the tools.
        num_rejected: Answers that people turned down.
        odd: Signals already known.

    Raises:
        Malformed: no_answer, starts_with_answer, starts_with_tool_result or nothing_to_train.
    """
    signals = set(odd)
    joined = _joined(messages, signals)
    num = len(joined)
    while joined and joined[-1].role != "assistant":
        joined.pop()
    if not joined:
        raise Malformed("no_answer")
    first = next(message.role for message in joined if message.role != "system")
    if first != "user":
        raise Malformed("starts_with_answer" if first == "assistant" else "starts_with_tool_result")
    if all(message.train is False for message in joined if message.role == "assistant"):
        raise Malformed("nothing_to_train")
    signals.update(signals_of(joined))
    return Turns(
        messages=tuple(joined),
        tools=tools,
        num_unanswered=num - len(joined),
        num_rejected=num_rejected,
        odd=tuple(sorted(signals)),
    )


def exchange(question: Message, answer: Message, odd: Iterable[str] = ()) -> Turns:
    """A conversation of one question and one answer: what `finished` makes of them, in far fewer steps."""
    signals = {
        *odd,
        *text_signals(question.content, "null_like_prompt"),
        *text_signals(answer.content, "null_like_answer"),
    }
    if question.context:
        signals.update(text_signals(question.context, "null_like_context"))
    return Turns(messages=(question, answer), odd=tuple(sorted(signals)) if signals else ())


def _joined(messages: Sequence[Message], signals: set[str]) -> list[Message]:
    joined: list[Message] = []
    for message in messages:
        if message.role != "assistant" and message.train is not None:
            if message.train:
                signals.add("trains_other_turns")
            message = replace(message, train=None)
        before = joined[-1] if joined else None
        if before is None or before.role != message.role or message.role not in ("user", "system"):
            joined.append(message)
        elif not message.content or (message.role == "system" and before.content == message.content):
            continue
        elif not before.content:
            joined[-1] = message
        else:
            signals.add(f"joined_{message.role}_turns")
            joined[-1] = replace(before, content=f"{before.content}\n\n{message.content}")
    return joined


def only_last_answer(messages: Sequence[Message]) -> list[Message]:
    """The same turns with every answer but the last marked as not to be learnt: people judged that one."""
    last = max((turn for turn, message in enumerate(messages) if message.role == "assistant"), default=-1)
    return [
        replace(message, train=False) if message.role == "assistant" and turn != last else message
        for turn, message in enumerate(messages)
    ]


def not_learnt(messages: Iterable[Message]) -> list[Message]:
    """The same turns with every answer among them marked as not to be learnt: they are part of a prompt."""
    return [replace(message, train=False) if message.role == "assistant" else message for message in messages]
