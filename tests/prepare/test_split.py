import numpy as np
import pytest

from lorascope.prepare.split import answer_key, deal, normalised, prompt_key, wanted_validation
from lorascope.run.message import Message


def question(text: str, context: str = "") -> Message:
    return Message(role="user", content=text, context=context)


def answer(text: str) -> Message:
    return Message(role="assistant", content=text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Say  hello.\n", "say hello."),
        ("\uff21\uff22", "ab"),  # full-width letters
        ("Stra\u00dfe", "STRASSE"),
        ("e\u0301", "\u00e9"),  # e with a combining accent, and the one character
        ("a\u00a0b", "a b"),  # no-break space
    ],
)
def test_trivial_variants_of_a_text_are_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("say hello", "say hello!"), ("1.5", "15"), ("resume", "r\u00e9sum\u00e9")]
)
def test_texts_that_differ_stay_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_a_prompt_is_everything_before_the_first_answer() -> None:
    system = Message(role="system", content="be brief")
    base = prompt_key([question("hi"), answer("a")])
    assert prompt_key([question("HI "), answer("b"), question("more"), answer("c")]) == base
    assert prompt_key([system, question("hi"), answer("a")]) != base
    assert prompt_key([question("hi", "there"), answer("a")]) != base


def test_an_instruction_and_an_input_are_not_run_together() -> None:
    assert prompt_key([question("a b", "c")]) != prompt_key([question("a", "b c")])


def test_an_answer_is_every_assistant_turn() -> None:
    assert answer_key([question("a"), answer("One"), question("b"), answer("two")]) == "one\ntwo"


KEYS = np.arange(100) % 70  # 70 prompts, the first 30 of them twice
TRAIN, VALIDATION, TEST = 0, 1, 2


def test_the_same_prompt_never_stands_on_two_sides() -> None:
    for seed in range(20):
        sides: dict[int, set[int]] = {}
        for key, side in zip(KEYS, deal(KEYS, {"validation": 20, "test": 15}, seed=seed), strict=True):
            sides.setdefault(int(key), set()).add(int(side))
        assert all(len(where) == 1 for where in sides.values())


def test_splits_have_the_sizes_that_were_asked_for() -> None:
    # Groups of one and two always fill 20 and 15 exactly: some group of one is left to even out.
    for seed in range(20):
        sides = deal(KEYS, {"validation": 20, "test": 15}, seed=seed)
        assert np.bincount(sides).tolist() == [65, 20, 15]


def test_a_group_larger_than_the_room_stays_in_training() -> None:
    sides = deal(np.array([7] * 10 + [8]), {"validation": 5}, seed=0)
    assert sides.tolist() == [TRAIN] * 10 + [VALIDATION]


def test_the_seed_decides_and_not_the_names_of_the_groups() -> None:
    # Hashes of the same texts by another function would be other integers; the split must not notice.
    sizes = {"validation": 20}
    assert deal(KEYS, sizes, seed=3).tolist() == deal(1000 - KEYS, sizes, seed=3).tolist()
    assert len({tuple(deal(KEYS, sizes, seed=seed).tolist()) for seed in range(5)}) == 5


def test_every_example_has_about_the_same_chance_to_be_held_out() -> None:
    # 10 of 100 prompts, 400 seeds: 40 times each on average, standard deviation sqrt(400 * 0.1 * 0.9) = 6.
    counts = sum(deal(np.arange(100), {"validation": 10}, seed=seed).astype(int) for seed in range(400))
    assert np.sum(counts) == 4000
    assert np.abs(counts - 40).max() <= 5 * 6


def test_nothing_is_held_out_where_nothing_is_asked_for() -> None:
    assert deal(KEYS, {}, seed=0).tolist() == [TRAIN] * 100
    assert deal(np.zeros(0, dtype=np.uint64), {"validation": 3}, seed=0).tolist() == []


@pytest.mark.parametrize(
    ("asked", "num_examples", "wanted"),
    [
        ("auto", 9, 0),
        ("auto", 10, 1),
        ("auto", 5000, 500),
        ("auto", 10_000, 1000),
        ("auto", 52_002, 1000),
        (0.1, 55, 6),  # 5.5, rounded to even
        (0.5, 3, 2),
        (0, 100, 0),
        (7, 100, 7),
    ],
)
def test_the_wanted_number_of_validation_examples(asked: str | float, num_examples: int, wanted: int) -> None:
    assert wanted_validation(asked, num_examples) == wanted
