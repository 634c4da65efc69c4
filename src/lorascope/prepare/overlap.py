"""How often examples repeat one another, within the data and across the splits, by hashes of their texts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lorascope.prepare.facts import Facts
from lorascope.prepare.near import clusters
from lorascope.prepare.repeats import Pairs

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


@dataclass(frozen=True, slots=True)
class Overlap:
    """What training has seen of the held-out examples.

    Attributes:
        code_N: The strongest of `CODES` that holds of each example, 0 for none and for training, [N] int8.
        twin_N: Place of a training example that it repeats so, -1 for none, [N] int64.
    """

    code_N: np.ndarray
    twin_N: np.ndarray


CODES = ("", "near_prompt", "prompt", "near", "same")
"""How a held-out example overlaps with training: a prompt that is nearly the same, the same prompt, nearly
the same prompt and answer, the same prompt and answer. The last two are leaks."""


def overlap_of(side_N: np.ndarray, facts: Facts, repeats: Mapping[str, Pairs]) -> Overlap:
    """Compare every held-out example with training.

    Args:
        side_N: Split of each example, 0 for train, negative where it is left out, [N].
        facts: Of them.
        repeats: Near duplicates by kind.
    """
    train, held = np.flatnonzero(side_N == 0), np.flatnonzero(side_N > 0)
    code_N = np.zeros(len(side_N), dtype=np.int8)
    twin_N = np.full(len(side_N), -1, dtype=np.int64)
    both_N = facts.both_N
    found = (
        (1, _near_twins(facts.prompt_N, repeats.get("prompt"), train, held)),
        (2, _twins(facts.prompt_N, facts.prompt_N[held], train)),
        (3, _near_twins(both_N, repeats.get("both"), train, held)),
        (4, _twins(both_N, both_N[held], train)),
    )
    for code, twin_H in found:
        own = held[twin_H >= 0]
        code_N[own], twin_N[own] = code, twin_H[twin_H >= 0]
    return Overlap(code_N, twin_N)


def overlap_counts(
    overlap: Overlap, side_N: np.ndarray, answer_N: np.ndarray, held_out: int
) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Count the held-out examples of a split that training has seen.

    Same prompt with another answer is overlap; same prompt and same answer is a leak.

    Args:
        overlap: Of all examples.
        side_N: As in `overlap_of`.
        answer_N: Hash of each example's answer, [N] uint64.
        held_out: The split to look at.

    Returns:
        num_examples; same_prompt, same_answer, same_both, and near_prompt and near_both, which are nearly so
        and not exactly. Beside it, places of up to 10 examples that leak with those of their twins.
    """
    held_N = side_N == held_out
    code_H = overlap.code_N[held_N]
    leaked = np.flatnonzero(held_N & (overlap.code_N >= CODES.index("near")))
    leaked = leaked[np.argsort(-overlap.code_N[leaked], kind="stable")][:_PAIRS_SHOWN]
    counts = {
        "num_examples": int(held_N.sum()),
        "same_prompt": int(np.isin(code_H, (CODES.index("prompt"), CODES.index("same"))).sum()),
        "same_answer": int(np.isin(answer_N[held_N], answer_N[side_N == 0]).sum()),
        "same_both": int((code_H == CODES.index("same")).sum()),
        "near_prompt": int((code_H == CODES.index("near_prompt")).sum()),
        "near_both": int((code_H == CODES.index("near")).sum()),
    }
    return counts, list(zip(leaked.tolist(), overlap.twin_N[leaked].tolist(), strict=True))


def _twins(hash_N: np.ndarray, wanted_H: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The first training example with each wanted hash, -1 where there is none, [H]."""
    if not len(train) or not len(wanted_H):
        return np.full(len(wanted_H), -1)
    known, first = np.unique(hash_N[train], return_index=True)
    place = np.minimum(np.searchsorted(known, wanted_H), len(known) - 1)
    return np.where(known[place] == wanted_H, train[first[place]], -1)


def _near_twins(hash_N: np.ndarray, pairs: Pairs | None, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """A training example that each held-out one is near to, -1 where there is none, [H].

    Pairs stand for all examples that are exactly the same as theirs.
    """
    if pairs is None or not len(pairs) or not len(held):
        return np.full(len(held), -1)
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    twin_P = _twins(hash_N, hash_N[both_ways[:, 1]], train)
    own_P, twin_P = hash_N[both_ways[:, 0]][twin_P >= 0], twin_P[twin_P >= 0]
    if not len(own_P):
        return np.full(len(held), -1)
    known, first = np.unique(own_P, return_index=True)
    place = np.minimum(np.searchsorted(known, hash_N[held]), len(known) - 1)
    return np.where(known[place] == hash_N[held], twin_P[first[place]], -1)


def near_counts(pairs: Pairs, kept_N: np.ndarray) -> dict[str, int]:
    """Count near duplicates among the examples that are kept.

    Returns:
        pairs; clusters that they join; rows in them.
    """
    places = pairs[kept_N[pairs].all(axis=1)] if len(pairs) else pairs
    members, place_P = np.unique(places, return_inverse=True)
    if not len(members):
        return {"pairs": 0, "clusters": 0, "rows": 0}
    own = clusters(len(members), place_P.reshape(-1, 2))
    return {"pairs": len(places), "clusters": len(np.unique(own)), "rows": len(members)}
