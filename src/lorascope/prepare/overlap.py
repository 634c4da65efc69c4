"""How often examples repeat one another, within the data and across the splits."""

from collections import Counter
from collections.abc import Sequence
from typing import Any


def duplicate_counts(prompt_keys: Sequence[str], answer_keys: Sequence[str]) -> dict[str, int]:
    """Count exact repetitions after normalisation.

    Args:
        prompt_keys: One per example.
        answer_keys: One per example.

    Returns:
        exact: examples whose prompt and answer both occurred before; prompt: whose prompt occurred before;
        conflicting: prompts that stand with more than one answer.
    """
    pairs = list(zip(prompt_keys, answer_keys, strict=True))
    answers_of: dict[str, set[str]] = {}
    for prompt, answer in pairs:
        answers_of.setdefault(prompt, set()).add(answer)
    return {
        "exact": len(pairs) - len(set(pairs)),
        "prompt": len(prompt_keys) - len(set(prompt_keys)),
        "conflicting": sum(len(answers) > 1 for answers in answers_of.values()),
    }


def overlap_with_train(
    splits: Sequence[str],
    prompt_keys: Sequence[str],
    answer_keys: Sequence[str],
    ids: Sequence[str],
    held_out: str,
) -> dict[str, Any]:
    """Count held-out examples that training has seen.

    Same prompt with another answer is overlap; same prompt and same answer is a leak.

    Args:
        splits: Split of each example.
        prompt_keys: One per example.
        answer_keys: One per example.
        ids: One per example.
        held_out: The split to look at.

    Returns:
        num_examples; same_prompt, same_answer, same_both: held-out examples concerned; pairs: up to 10 pairs
        of ids of held-out and training examples that are the same in both.
    """
    train = [index for index, split in enumerate(splits) if split == "train"]
    prompts = Counter(prompt_keys[index] for index in train)
    answers = Counter(answer_keys[index] for index in train)
    both = {(prompt_keys[index], answer_keys[index]): ids[index] for index in reversed(train)}
    held = [index for index, split in enumerate(splits) if split == held_out]
    leaked = [index for index in held if (prompt_keys[index], answer_keys[index]) in both]
    return {
        "num_examples": len(held),
        "same_prompt": sum(prompt_keys[index] in prompts for index in held),
        "same_answer": sum(answer_keys[index] in answers for index in held),
        "same_both": len(leaked),
        "pairs": [[ids[index], both[prompt_keys[index], answer_keys[index]]] for index in leaked[:10]],
    }
