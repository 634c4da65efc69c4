"""Conversations -> splits in which the same prompt never stands on two sides."""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from lorascope.run.message import Message


def normalised(text: str) -> str:
    """Fold case, Unicode form and white space, so that trivial variants of a text compare equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


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
    return "\n".join(normalised(message.content) for message in messages if message.role == "assistant")


def split_by_prompt(prompt_keys: Sequence[str], sizes: Mapping[str, int], *, seed: int) -> list[str]:
    """Deal examples to splits by groups of equal prompts.

    Groups come in the order of a seeded permutation; each goes whole to the first held-out split that still
    has room for it, else to train. A group larger than a split's room stays in training.

    Args:
        prompt_keys: One key per example.
        sizes: Held-out split name to the number of examples wanted, as in {"validation": 100}.
        seed: Of the permutation.

    Returns:
        The split of each example.
    """
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(prompt_keys):
        groups.setdefault(key, []).append(index)
    members = list(groups.values())
    room = dict(sizes)
    assigned = ["train"] * len(prompt_keys)
    for group in np.random.default_rng(seed).permutation(len(members)):
        indices = members[group]
        for split, left in room.items():
            if len(indices) <= left:
                room[split] -= len(indices)
                for index in indices:
                    assigned[index] = split
                break
    return assigned


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
