"""Rows -> splits in which the same prompt never stands on two sides."""

from collections.abc import Mapping, Sequence

import numpy as np

from lorascope.metrics.words import normalised
from lorascope.run.message import Message


def prompt_key(messages: Sequence[Message]) -> str:
    """What makes two examples the same question: every turn before the first answer, normalised."""
    parts = []
    for message in messages:
        if message.role == "assistant":
            break
        parts.append(f"{message.role}\n{normalised(message.content)}\n{normalised(message.context)}")
    return "\n".join(parts)


def answer_key(messages: Sequence[Message]) -> str:
    """What makes two examples the same answer: every assistant turn, normalised."""
    return "\n".join(_answer(message) for message in messages if message.role == "assistant")


def _answer(message: Message) -> str:
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return normalised("\n".join([message.reasoning, message.content, *calls]))


def deal(group_N: np.ndarray, sizes: Mapping[str, int], *, seed: int) -> np.ndarray:
    """Deal rows to splits by groups that must stay together.

    Groups come in the order of a seeded permutation; each goes whole to the first held-out split that still
    has room for it, else to train. A group larger than a split's room stays in training.

    Args:
        group_N: Of each row, any integers, [N].
        sizes: Held-out split name to the number of rows wanted, as in {"validation": 100}.
        seed: Of the permutation.

    Returns:
        [N] int8: 0 for train, else 1 + the place of the split in `sizes`.
    """
    _, first_N, member_N = np.unique(group_N, return_index=True, return_inverse=True)
    rank = np.empty(len(first_N), dtype=np.int64)
    rank[np.argsort(first_N, kind="stable")] = np.arange(len(first_N))  # groups by first appearance
    member_N = rank[member_N]
    num_rows = np.bincount(member_N, minlength=len(first_N))
    room = list(sizes.values())
    side = np.zeros(len(first_N), dtype=np.int8)
    for group in np.random.default_rng(seed).permutation(len(first_N)):
        if not any(room):
            break
        for place, left in enumerate(room):
            if num_rows[group] <= left:
                room[place] -= int(num_rows[group])
                side[group] = place + 1
                break
    return side[member_N]


def wanted_validation(asked: str | int | float, num_examples: int) -> int:
    """How many examples `prepare.validation` asks for, out of how many there are.

    Args:
        asked: "auto" (10 %, at most 1,000), a fraction below 1, or a number.
        num_examples: Examples in all.
    """
    if asked == "auto":
        return min(num_examples // 10, 1000)
    if isinstance(asked, float) and 0 < asked < 1:
        return round(asked * num_examples)
    return int(asked)
