from lorascope.prepare.overlap import duplicate_counts, overlap_with_train

# Row:      0    1    2    3    4    5
PROMPTS = ["a", "a", "b", "b", "c", "a"]
ANSWERS = ["x", "x", "x", "y", "z", "x"]


def test_repetitions_are_counted_as_by_hand() -> None:
    # (a, x) stands three times: 2 repeat. 3 prompts in 6 rows: 3 repeat. Only b has two answers, x and y.
    assert duplicate_counts(PROMPTS, ANSWERS) == {"exact": 2, "prompt": 3, "conflicting": 1}
    assert duplicate_counts([], []) == {"exact": 0, "prompt": 0, "conflicting": 0}


def test_overlap_with_training_is_counted_as_by_hand() -> None:
    # Training: (a, x), (b, x), (b, y). Held out: (a, x), (c, z), (a, x) and one more of another split.
    splits = ["train", "validation", "train", "train", "validation", "validation"]
    ids = [f"r#{row}" for row in range(6)]
    found = overlap_with_train(splits, PROMPTS, ANSWERS, ids, "validation")
    # Rows 1 and 5 share prompt a, answer x and the pair of them with training; row 4 shares nothing.
    assert found == {
        "num_examples": 3,
        "same_prompt": 2,
        "same_answer": 2,
        "same_both": 2,
        "pairs": [["r#1", "r#0"], ["r#5", "r#0"]],
    }


def test_the_same_prompt_with_another_answer_is_no_leak() -> None:
    found = overlap_with_train(["train", "validation"], ["a", "a"], ["x", "y"], ["r#0", "r#1"], "validation")
    assert (found["same_prompt"], found["same_answer"], found["same_both"], found["pairs"]) == (1, 0, 0, [])


def test_a_prompt_and_an_answer_of_two_rows_are_no_leak() -> None:
    # Training knows the prompt from row 0 and the answer from row 1, but never saw them together.
    found = overlap_with_train(
        ["train", "train", "test"], ["a", "b", "a"], ["x", "y", "y"], ["0", "1", "2"], "test"
    )
    assert (found["same_prompt"], found["same_answer"], found["same_both"]) == (1, 1, 0)


def test_only_ten_pairs_are_listed_and_all_are_counted() -> None:
    splits = ["train"] + ["validation"] * 12
    found = overlap_with_train(splits, ["a"] * 13, ["x"] * 13, [str(row) for row in range(13)], "validation")
    assert (found["same_both"], len(found["pairs"])) == (12, 10)
