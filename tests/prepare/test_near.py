"""Near duplicates: every pair reported is one, and few are missed, against exact sets of all pairs."""

import itertools
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from lorascope.prepare.near import (
    NearPair,
    band_keys,
    candidates,
    clusters,
    miss_probability,
    signatures,
    verified,
)
from lorascope.prepare.shingles import Shingles, shingles


def near(texts: list[str], *, jaccard: float = 0.8, containment: float = 0.9) -> list[NearPair]:
    own = shingles(texts)
    return list(
        verified(
            candidates(band_keys(signatures(own)).T),
            lambda places: [own.of(place) for place in places],
            jaccard=jaccard,
            containment=containment,
            at_once=7,
        )
    )


def test_a_word_changed_in_a_long_text_is_a_near_duplicate_with_its_exact_similarity() -> None:
    # 30 words have 28 shingles; changing the last word changes one: 27 / 29.
    words = [f"w{n}" for n in range(30)]
    (pair,) = near([" ".join(words), "nothing like it at all", " ".join([*words[:-1], "other"])])
    assert (pair.first, pair.second) == (0, 2)
    assert pair.jaccard == pytest.approx(27 / 29)
    assert pair.containment == pytest.approx(27 / 28)


def test_texts_without_words_are_like_no_other() -> None:
    assert near(["...", "!!!", ""]) == []


def test_the_signature_of_two_texts_together_is_the_minimum_of_both() -> None:
    own = shingles(["a b c d e f", "u v w x y z", ""])
    first, second, empty = signatures(own)
    union = Shingles(own.hashes, np.array([0, len(own.hashes)]))
    assert (np.minimum(first, second) == signatures(union)[0]).all()
    assert (np.minimum(first, empty) == first).all()


def test_a_bucket_of_equal_texts_is_joined_by_few_pairs() -> None:
    texts = ["one two three four five six"] * 100
    pairs = candidates(band_keys(signatures(shingles(texts))).T)
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
    sets = []
    for text in texts:
        words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
        sets.append({tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2))})
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
