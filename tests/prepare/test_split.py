import pytest

from lorascope.prepare.split import answer_key, normalised, prompt_key, split_by_prompt, wanted_validation
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


KEYS = [f"prompt {number % 70}" for number in range(100)]  # 70 prompts, the first 30 of them twice


def test_the_same_prompt_never_stands_on_two_sides() -> None:
    for seed in range(20):
        splits = split_by_prompt(KEYS, {"validation": 20, "test": 15}, seed=seed)
        sides: dict[str, set[str]] = {}
        for key, split in zip(KEYS, splits, strict=True):
            sides.setdefault(key, set()).add(split)
        assert all(len(where) == 1 for where in sides.values())


def test_splits_have_the_sizes_that_were_asked_for() -> None:
    # Groups of one and two always fill 20 and 15 exactly: some group of one is left to even out.
    for seed in range(20):
        splits = split_by_prompt(KEYS, {"validation": 20, "test": 15}, seed=seed)
        assert (splits.count("validation"), splits.count("test"), splits.count("train")) == (20, 15, 65)


def test_a_group_larger_than_the_room_stays_in_training() -> None:
    splits = split_by_prompt(["same"] * 10 + ["other"], {"validation": 5}, seed=0)
    assert splits == ["train"] * 10 + ["validation"]


def test_the_seed_decides_and_nothing_else() -> None:
    sizes = {"validation": 20}
    assert split_by_prompt(KEYS, sizes, seed=3) == split_by_prompt(list(KEYS), sizes, seed=3)
    assert len({tuple(split_by_prompt(KEYS, sizes, seed=seed)) for seed in range(5)}) == 5


def test_every_example_has_about_the_same_chance_to_be_held_out() -> None:
    # 10 of 100 prompts, 400 seeds: 40 times each on average, standard deviation sqrt(400 * 0.1 * 0.9) = 6.
    keys = [str(number) for number in range(100)]
    counts = [0] * 100
    for seed in range(400):
        for index, split in enumerate(split_by_prompt(keys, {"validation": 10}, seed=seed)):
            counts[index] += split == "validation"
    assert sum(counts) == 4000
    assert max(abs(count - 40) for count in counts) <= 5 * 6


def test_nothing_is_held_out_where_nothing_is_asked_for() -> None:
    assert split_by_prompt(KEYS, {}, seed=0) == ["train"] * 100
    assert split_by_prompt([], {"validation": 3}, seed=0) == []


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
