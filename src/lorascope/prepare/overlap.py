"""How often examples repeat one another, within the data and across the splits, by hashes of their texts."""

import hashlib
from typing import Any

import numpy as np

_PAIRS_SHOWN = 10


def text_hash(text: str) -> int:
    """A 64-bit hash of a normalised text; two of 10 million collide with a chance of 3e-6."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def duplicate_counts(prompt_N: np.ndarray, answer_N: np.ndarray) -> dict[str, int]:
    """Count exact repetitions after normalisation.

    Args:
        prompt_N: Hash of each example's prompt, [N] uint64.
        answer_N: Hash of each example's answer, [N] uint64.

    Returns:
        exact: examples whose prompt and answer both occurred before; prompt: whose prompt occurred before;
        conflicting: prompts that stand with more than one answer.
    """
    pairs = np.unique(np.stack([prompt_N, answer_N], axis=1), axis=0)
    prompts, answers_each = np.unique(pairs[:, 0], return_counts=True)
    return {
        "exact": len(prompt_N) - len(pairs),
        "prompt": len(prompt_N) - len(prompts),
        "conflicting": int((answers_each > 1).sum()),
    }


def overlap_with_train(
    side_N: np.ndarray, prompt_N: np.ndarray, answer_N: np.ndarray, held_out: int
) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Count held-out examples that training has seen.

    Same prompt with another answer is overlap; same prompt and same answer is a leak.

    Args:
        side_N: Split of each example, 0 for train, [N].
        prompt_N: Hash of each example's prompt, [N] uint64.
        answer_N: Hash of each example's answer, [N] uint64.
        held_out: The split to look at.

    Returns:
        num_examples; same_prompt, same_answer, same_both: held-out examples concerned. Beside it, places of
        up to 10 held-out examples with those of the first training examples that are the same in both.
    """
    train, held = np.flatnonzero(side_N == 0), np.flatnonzero(side_N == held_out)
    pair = np.dtype([("prompt", prompt_N.dtype), ("answer", answer_N.dtype)])
    both_N = np.stack([prompt_N, answer_N], axis=1).view(pair)[:, 0]
    known, first = np.unique(both_N[train], return_index=True)
    leaked = held[np.isin(both_N[held], known)]
    shown = leaked[:_PAIRS_SHOWN]
    twins = train[first[np.searchsorted(known, both_N[shown])]]
    counts = {
        "num_examples": len(held),
        "same_prompt": int(np.isin(prompt_N[held], prompt_N[train]).sum()),
        "same_answer": int(np.isin(answer_N[held], answer_N[train]).sum()),
        "same_both": len(leaked),
    }
    return counts, list(zip(shown.tolist(), twins.tolist(), strict=True))
