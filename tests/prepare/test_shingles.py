"""Shingles: equal where three words in a row are, by text, and the wording of a template taken out."""

import subprocess
import sys

from lorascope.prepare.shingles import common_shingles, shingles


def shared(one: str, other: str) -> int:
    own = shingles([one, other])
    return len(own.of(0) & own.of(1))


def test_shingles_are_three_words_whatever_their_case_and_punctuation() -> None:
    # the cat the, cat the cat, the cat sat
    assert len(shingles(["The cat, the CAT sat!"]).of(0)) == 3
    assert shared("The cat, the CAT sat!", "the cat the cat sat") == 3
    assert shared("The cat, the CAT sat!", "a cat sat, the cat sat") == 1
    assert shared("the cat sat", "sat the cat") == 0


def test_a_text_of_one_or_two_words_is_one_shingle_and_one_without_words_none() -> None:
    own = shingles(["Two words", " ... ", "two", "TWO WORDS.", "two words more"])
    assert [len(own.of(place)) for place in range(5)] == [1, 0, 1, 1, 1]
    assert own.of(0) == own.of(3)
    assert len(own.of(0) | own.of(2) | own.of(4)) == 3


def test_scripts_without_spaces_are_cut_by_character() -> None:
    assert len(shingles(["\u4f60\u597d\u4e16\u754c"]).of(0)) == 2
    assert shared("\u3053\u3093\u306b\u3061\u306f", "\u3093\u306b\u3061") == 1


def test_a_repeated_shingle_counts_once() -> None:
    assert len(shingles(["a b c a b c a b c"]).of(0)) == 3  # a b c, b c a, c a b


def test_wide_forms_and_case_of_other_scripts_are_folded() -> None:
    assert shared("\uff21\uff22 c d", "ab C D") == 1
    assert shared("\u00c4rger mit \u00d6l", "\u00e4rger MIT \u00f6l") == 1


def test_the_texts_of_a_batch_stay_apart_whatever_their_length() -> None:
    texts = ["a b c d", "", "e", "f g", "h i j", "...", "k l m n o"]
    together = shingles(texts)
    assert [together.of(place) for place in range(len(texts))] == [shingles([one]).of(0) for one in texts]


def test_half_a_surrogate_pair_is_a_text_too() -> None:
    assert len(shingles(["a \ud800 b c"]).of(0)) in (1, 2)


def test_wording_that_many_texts_share_is_found_and_taken_out() -> None:
    # Each text begins with the same four words, two shingles; 19 of 30 go on with the same word, too few.
    texts = [f"rewrite this as follows{' please' if n < 19 else ''} w{n} x{n} y{n}" for n in range(30)]
    common = common_shingles(texts)
    assert set(common.tolist()) == shingles(["rewrite this as follows"]).of(0)
    own = shingles(texts).without(common)
    assert own.of(0) == shingles(["as follows please w0 x0 y0"]).of(0)
    assert own.of(29) == shingles(["as follows w29 x29 y29"]).of(0)


def test_every_process_gives_a_shingle_the_same_hash() -> None:
    code = "from lorascope.prepare.shingles import shingles; print(shingles(['one two three']).hashes[0])"
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert found == {f"{shingles(['one two three']).hashes[0]}\n"}
