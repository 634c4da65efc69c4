"""Text match in many scripts; hostile, empty and numeric answers."""

import sys

import pytest
import sacrebleu

from lorascope.errors import UndefinedMetric
from lorascope.metrics.text_match import chrf, exact_match, normalise_answer, token_f1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Cat.", "the  cat"),
        ("**Paris**", "paris"),
        ("\u201cParis\u201d!", "Paris"),  # curly quotes
        ("state-of-the-art", "state of the art"),
        ("don't", "don\u2019t"),
        ("U.S.A.", "usa"),
        ("STRASSE", "stra\u00dfe"),  # sharp s folds to ss
        ("caf\u00e9", "cafe\u0301"),  # one code point or two
        ("\uff15\uff10\uff05", "50%"),  # full-width digits and percent
        ("\u6771\u4eac\u3002", "\u6771\u4eac"),  # Tokyo with an ideographic full stop
        ("\uff76\uff9e", "\u30ac"),  # half-width ka and voicing mark; one kana ga
        ("\u22125", "-5"),  # minus sign and hyphen
        ("\u0645\u0631\u062d\u0628\u0627\u061f", "\u0645\u0631\u062d\u0628\u0627"),  # Arabic question mark
    ],
)
def test_spelling_apart_from_meaning_does_not_count(one: str, other: str) -> None:
    assert normalise_answer(one) == normalise_answer(other)
    assert exact_match(one, other)
    assert token_f1(one, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"),
        ("3.14", "314"),
        ("1/2", "12"),
        (".5", "5"),
        ("10:30", "1030"),
        ("5%", "5"),
        ("$5", "5"),
        ("C++", "C"),
        ("C#", "C"),
        ("5\u00b2", "52"),  # superscript two
        ("x < y", "x y"),
        ("A", "B"),
        ("the", "a"),
    ],
)
def test_marks_that_carry_meaning_stay(one: str, other: str) -> None:
    assert not exact_match(one, other)


def test_an_answer_of_one_article_or_one_mark_is_still_an_answer() -> None:
    assert exact_match("A.", "a")
    assert exact_match("!", "!")
    assert not exact_match("!", "?")


def test_an_empty_prediction_scores_nothing() -> None:
    for empty in ("", "   ", "\n\t"):
        assert exact_match(empty, "Paris") is False
        assert token_f1(empty, "Paris") == 0.0


def test_an_empty_reference_leaves_nothing_to_match() -> None:
    for metric in (exact_match, token_f1):
        with pytest.raises(UndefinedMetric, match="reference is empty"):
            metric("Paris", "  ")


def test_token_f1_by_hand() -> None:
    # Prediction 4 words, reference 6, shared: the, cat, sat = 3. F1 = 2 * 3 / (4 + 6).
    assert token_f1("the black cat sat", "The cat sat on the mat.") == pytest.approx(0.6)


def test_a_repeated_word_counts_as_often_as_the_reference_has_it() -> None:
    # "yes" once in the reference: shared 1, words 3 + 1.
    assert token_f1("yes yes yes", "yes") == pytest.approx(0.5)


def test_chinese_characters_count_one_by_one() -> None:
    # Beijing (2 characters) against Beijing city (3): shared 2 of 2 + 3. As whole words it would be 0.
    assert token_f1("\u5317\u4eac", "\u5317\u4eac\u5e02") == pytest.approx(4 / 5)


def test_scripts_mix_within_an_answer() -> None:
    # GPT + two characters against GPT + one of them: words 3 and 2, shared 2.
    assert token_f1("GPT\u6a21\u578b", "gpt\u6a21") == pytest.approx(4 / 5)


def test_thai_and_kana_count_one_by_one_and_korean_by_words() -> None:
    assert token_f1("\u0e01\u0e02", "\u0e01\u0e04") == pytest.approx(0.5)
    assert token_f1("\u304b\u304d", "\u304b\u304f") == pytest.approx(0.5)
    assert token_f1("\ud55c\uad6d \uc0ac\ub78c", "\ud55c\uad6d \ub9d0") == pytest.approx(0.5)


def test_chrf_is_that_of_sacrebleu_and_names_its_settings() -> None:
    predictions = ["the cat sat on the mat", "a dog", "\u5317\u4eac"]
    references = ["the cat is on the mat", "the dog barked", "\u5317\u4eac\u5e02"]
    found = chrf(predictions, references)
    assert found.score == pytest.approx(sacrebleu.corpus_chrf(predictions, [references]).score)
    assert f"version:{sacrebleu.__version__}" in found.signature
    assert (found.num, found.num_empty) == (3, 0)


def test_equal_texts_have_the_highest_chrf_and_strangers_the_lowest() -> None:
    assert chrf(["abcdefgh"], ["abcdefgh"]).score == pytest.approx(100.0)
    assert chrf(["abcdefgh"], ["stuvwxyz"]).score == 0.0


def test_silence_lowers_chrf() -> None:
    references = ["the cat is on the mat", "a dog barked"]
    found = chrf(["the cat is on the mat", ""], references)
    assert found.num_empty == 1
    assert found.score < chrf(references, references).score
    assert chrf(["", " "], references).score == 0.0


def test_chrf_without_pairs_is_undefined() -> None:
    with pytest.raises(UndefinedMetric, match="needs pairs"):
        chrf([], [])
    with pytest.raises(UndefinedMetric, match="needs pairs"):
        chrf(["a"], ["a", "b"])
    with pytest.raises(UndefinedMetric, match="reference is empty"):
        chrf(["a"], [""])


def test_without_sacrebleu_chrf_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.chrf", None)
    with pytest.raises(UndefinedMetric, match="pip install"):
        chrf(["a"], ["a"])
