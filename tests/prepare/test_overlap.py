"""Repetitions are counted as by hand."""

from dataclasses import replace

import numpy as np

from lorascope.prepare.facts import Facts, facts_of
from lorascope.prepare.overlap import (
    CODES,
    duplicate_counts,
    near_counts,
    overlap_counts,
    overlap_of,
    text_hash,
)


def hashes(*texts: str) -> np.ndarray:
    return np.array([text_hash(text) for text in texts], dtype=np.uint64)


# Row:             0    1    2    3    4    5
PROMPTS = hashes("a", "a", "b", "b", "c", "a")
ANSWERS = hashes("x", "x", "x", "y", "z", "x")
TRAIN, VALIDATION, TEST = 0, 1, 2


def test_repetitions_are_counted_as_by_hand() -> None:
    # (a, x) stands three times: 2 repeat. 3 prompts in 6 rows: 3 repeat. Only b has two answers, x and y.
    assert duplicate_counts(PROMPTS, ANSWERS) == {"exact": 2, "prompt": 3, "conflicting": 1}
    assert duplicate_counts(hashes(), hashes()) == {"exact": 0, "prompt": 0, "conflicting": 0}


def facts(prompt_N: np.ndarray, answer_N: np.ndarray) -> Facts:
    return replace(facts_of({"num_tokens_N": [1] * len(prompt_N)}), prompt_N=prompt_N, answer_N=answer_N)


def counted(
    sides: list[int], prompt_N: np.ndarray, answer_N: np.ndarray, held_out: int, **near: list[tuple[int, int]]
) -> tuple[dict[str, int], list[tuple[int, int]]]:
    side_N = np.array(sides)
    repeats = {kind: np.array(pairs) for kind, pairs in near.items()}
    found = overlap_of(side_N, facts(prompt_N, answer_N), repeats)
    return overlap_counts(found, side_N, answer_N, held_out)


def test_overlap_with_training_is_counted_as_by_hand() -> None:
    # Training: (a, x), (b, x), (b, y). Held out: (a, x), (c, z), (a, x).
    sides = [TRAIN, VALIDATION, TRAIN, TRAIN, VALIDATION, VALIDATION]
    counts, twins = counted(sides, PROMPTS, ANSWERS, VALIDATION)
    # Rows 1 and 5 share prompt a, answer x and the pair of them with training; row 4 shares nothing.
    assert counts == {
        "num_examples": 3,
        "same_prompt": 2,
        "same_answer": 2,
        "same_both": 2,
        "near_prompt": 0,
        "near_both": 0,
    }
    assert twins == [(1, 0), (5, 0)]


def test_the_same_prompt_with_another_answer_is_no_leak() -> None:
    counts, twins = counted([TRAIN, VALIDATION], hashes("a", "a"), hashes("x", "y"), VALIDATION)
    assert (counts["same_prompt"], counts["same_answer"], counts["same_both"], twins) == (1, 0, 0, [])


def test_a_prompt_and_an_answer_of_two_rows_are_no_leak() -> None:
    # Training knows the prompt from row 0 and the answer from row 1, but never saw them together.
    counts, _ = counted([TRAIN, TRAIN, TEST], hashes("a", "b", "a"), hashes("x", "y", "y"), TEST)
    assert (counts["same_prompt"], counts["same_answer"], counts["same_both"]) == (1, 1, 0)


def test_rows_that_were_left_out_are_on_no_side() -> None:
    counts, _ = counted([-1, VALIDATION], hashes("a", "a"), hashes("x", "x"), VALIDATION)
    assert (counts["same_prompt"], counts["same_both"]) == (0, 0)


def test_only_ten_pairs_are_listed_and_all_are_counted() -> None:
    sides = [TRAIN] + [VALIDATION] * 12
    counts, twins = counted(sides, hashes(*["a"] * 13), hashes(*["x"] * 13), VALIDATION)
    assert (counts["same_both"], len(twins)) == (12, 10)


def test_a_near_duplicate_counts_for_all_rows_that_are_exactly_like_it() -> None:
    # Row 0 is near to row 2. Row 1 (training) is exactly row 0, row 3 (validation) exactly row 2.
    prompts, answers = hashes("a", "a", "b", "b", "c"), hashes("x", "x", "x", "x", "y")
    sides = [TEST, TRAIN, VALIDATION, VALIDATION, VALIDATION]
    counts, twins = counted(sides, prompts, answers, VALIDATION, both=[(0, 2)], prompt=[(0, 2)])
    assert (counts["near_both"], counts["near_prompt"], counts["same_both"]) == (2, 0, 0)
    assert twins == [(2, 1), (3, 1)]


def test_the_strongest_overlap_is_what_counts() -> None:
    # Row 1 has the prompt of row 0 and is near to it as a whole; row 2 is nearly its prompt alone.
    prompts, answers = hashes("a", "a", "b"), hashes("x", "y", "z")
    near = {"both": [(0, 1)], "prompt": [(0, 2)]}
    side_N = np.array([TRAIN, VALIDATION, VALIDATION])
    repeats = {kind: np.array(p) for kind, p in near.items()}
    found = overlap_of(side_N, facts(prompts, answers), repeats)
    assert [CODES[code] for code in found.code_N] == ["", "near", "near_prompt"]
    assert found.twin_N.tolist() == [-1, 0, 0]


def test_near_duplicates_that_were_left_out_are_not_counted() -> None:
    pairs = np.array([(0, 1), (1, 2), (3, 4)])
    kept = np.array([True, True, True, True, False])
    assert near_counts(pairs, kept) == {"pairs": 2, "clusters": 1, "rows": 3}
