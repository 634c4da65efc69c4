"""Near duplicates: every pair reported is one, and few are missed, against exact sets of all pairs."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from lorascope.prepare.near import (
    NearPair,
    band_keys,
    candidates,
    clusters,
    common_shingles,
    miss_probability,
    shingles,
    signatures,
    verified,
)


def near(texts: list[str], *, jaccard: float = 0.8, containment: float = 0.9) -> list[NearPair]:
    sets = [shingles(text) for text in texts]
    return list(
        verified(
            candidates(band_keys(signatures(sets)).T),
            lambda places: [sets[place] for place in places],
            jaccard=jaccard,
            containment=containment,
            at_once=7,
        )
    )


def test_shingles_are_three_words_whatever_their_case_and_punctuation() -> None:
    assert shingles("The cat, the CAT sat!") == {"the cat the", "cat the cat", "the cat sat"}
    assert shingles("Two words") == {"two words"}
    assert shingles(" ... ") == frozenset()


def test_scripts_without_spaces_are_cut_by_character() -> None:
    assert shingles("\u4f60\u597d\u4e16\u754c") == {"\u4f60 \u597d \u4e16", "\u597d \u4e16 \u754c"}
    assert shingles("\u3053\u3093\u306b\u3061\u306f") == {
        "\u3053 \u3093 \u306b",
        "\u3093 \u306b \u3061",
        "\u306b \u3061 \u306f",
    }


def test_a_word_changed_in_a_long_text_is_a_near_duplicate_with_its_exact_similarity() -> None:
    # 30 words have 28 shingles; changing the last word changes one: 27 / 29.
    words = [f"w{n}" for n in range(30)]
    (pair,) = near([" ".join(words), "nothing like it at all", " ".join([*words[:-1], "other"])])
    assert (pair.first, pair.second) == (0, 2)
    assert pair.jaccard == pytest.approx(27 / 29)
    assert pair.containment == pytest.approx(27 / 28)


def test_texts_without_words_are_like_no_other() -> None:
    assert near(["...", "!!!", ""]) == []


def test_the_signature_of_a_union_is_the_minimum_of_both() -> None:
    one, other = shingles("a b c d e f"), shingles("u v w x y z")
    first, second, union, empty = signatures([one, other, one | other, frozenset()])
    assert (np.minimum(first, second) == union).all()
    assert (np.minimum(first, empty) == first).all()


def test_wording_that_many_texts_share_is_found() -> None:
    # Each text begins with the same four words, two shingles; 19 of 30 go on with the same word, too few.
    texts = [f"rewrite this as follows{' please' if n < 19 else ''} w{n} x{n} y{n}" for n in range(30)]
    assert common_shingles(texts) == {"rewrite this as", "this as follows"}


def test_a_bucket_of_equal_texts_is_joined_by_few_pairs() -> None:
    texts = ["one two three four five six"] * 100
    pairs = candidates(band_keys(signatures([shingles(text) for text in texts])).T)
    assert len(pairs) == 99 + 98  # each with the one before it and with the first
    assert set(clusters(100, np.array([(p.first, p.second) for p in near(texts)])).tolist()) == {0}


def test_clusters_are_named_after_their_earliest_member() -> None:
    assert clusters(6, np.array([(1, 4), (4, 5), (2, 3)])).tolist() == [0, 1, 2, 2, 1, 1]


def test_the_probability_of_a_miss_is_that_of_the_bands() -> None:
    # At 0.8: 1 - 0.8^5 = 0.67232, to the 25th power 4.9e-5; at 0.5: 0.96875^25 = 0.452.
    assert miss_probability(0.8) == pytest.approx(4.9e-5, rel=0.02)
    assert miss_probability(0.5) == pytest.approx(0.452, abs=0.001)


@pytest.mark.end_to_end
def test_of_real_rows_every_pair_is_found_that_comparing_all_of_them_finds(data_folder: Path) -> None:
    lines = (data_folder / "datasets" / "wwdc25_poems_train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    texts = list(dict.fromkeys(row["completion"] for row in rows))[:700]
    sets = [shingles(text) for text in texts]
    expected = set()
    for first, second in itertools.combinations(range(len(texts)), 2):
        shared = len(sets[first] & sets[second])
        if shared and shared / len(sets[first] | sets[second]) >= 0.8:
            expected.add((first, second))
    found = {(pair.first, pair.second) for pair in near(texts, containment=2.0)}
    assert len(expected) > 10
    assert found <= expected
    joined = clusters(len(texts), np.array(sorted(found)))
    assert all(joined[first] == joined[second] for first, second in expected)
