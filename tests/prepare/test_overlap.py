"""Repetitions are counted as by hand."""

import numpy as np

from lorascope.prepare.overlap import duplicate_counts, overlap_with_train, text_hash


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


def test_overlap_with_training_is_counted_as_by_hand() -> None:
    # Training: (a, x), (b, x), (b, y). Held out: (a, x), (c, z), (a, x).
    sides = np.array([TRAIN, VALIDATION, TRAIN, TRAIN, VALIDATION, VALIDATION])
    counts, twins = overlap_with_train(sides, PROMPTS, ANSWERS, VALIDATION)
    # Rows 1 and 5 share prompt a, answer x and the pair of them with training; row 4 shares nothing.
    assert counts == {"num_examples": 3, "same_prompt": 2, "same_answer": 2, "same_both": 2}
    assert twins == [(1, 0), (5, 0)]


def test_the_same_prompt_with_another_answer_is_no_leak() -> None:
    sides = np.array([TRAIN, VALIDATION])
    counts, twins = overlap_with_train(sides, hashes("a", "a"), hashes("x", "y"), VALIDATION)
    assert (counts["same_prompt"], counts["same_answer"], counts["same_both"], twins) == (1, 0, 0, [])


def test_a_prompt_and_an_answer_of_two_rows_are_no_leak() -> None:
    # Training knows the prompt from row 0 and the answer from row 1, but never saw them together.
    sides = np.array([TRAIN, TRAIN, TEST])
    counts, _ = overlap_with_train(sides, hashes("a", "b", "a"), hashes("x", "y", "y"), TEST)
    assert (counts["same_prompt"], counts["same_answer"], counts["same_both"]) == (1, 1, 0)


def test_rows_that_were_left_out_are_on_no_side() -> None:
    counts, _ = overlap_with_train(np.array([-1, VALIDATION]), hashes("a", "a"), hashes("x", "x"), VALIDATION)
    assert (counts["same_prompt"], counts["same_both"]) == (0, 0)


def test_only_ten_pairs_are_listed_and_all_are_counted() -> None:
    sides = np.array([TRAIN] + [VALIDATION] * 12)
    counts, twins = overlap_with_train(sides, hashes(*["a"] * 13), hashes(*["x"] * 13), VALIDATION)
    assert (counts["same_both"], len(twins)) == (12, 10)
