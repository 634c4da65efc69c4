"""Texts that are almost the same: MinHash finds candidates, exact sets decide.

A text is the set of its 3-word shingles. MinHash signatures (rensa) are cut into bands; texts that agree in
a band are candidates, and only pairs whose exact Jaccard similarity or containment passes the threshold
count. So no pair is reported that is none; a true pair is missed with the probability of `miss_probability`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorascope.prepare.split import normalised

NUM_BANDS, ROWS_PER_BAND = 25, 5
"""125 hash functions in 25 bands of 5: see `miss_probability`."""

_SEED = 1
_SHINGLE = 3
# Words; scripts that are written without spaces count by character.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
_TEXTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, order=True)
class NearPair:
    """Two texts that are almost the same.

    Attributes:
        first: Place of the earlier one.
        second: Place of the later one.
        jaccard: Shingles they share / shingles that either has, 0 to 1.
        containment: Shingles they share / shingles of the shorter one, 0 to 1.
    """

    first: int
    second: int
    jaccard: float
    containment: float


def shingles(text: str) -> frozenset[str]:
    """The 3-word shingles of a text, case, Unicode form and punctuation aside; all its words if fewer."""
    words = _WORD.findall(normalised(text))
    if len(words) < _SHINGLE:
        return frozenset([" ".join(words)] if words else [])
    return frozenset(" ".join(three) for three in zip(*(words[k:] for k in range(_SHINGLE)), strict=False))


def band_keys(texts: Sequence[str]) -> np.ndarray:
    """Hash the bands of each text's MinHash signature.

    Args:
        texts: N texts.

    Returns:
        [N, 25] uint64; 0 where a text has no words, which is like no other text.
    """
    import rensa

    keys_NB = np.zeros((len(texts), NUM_BANDS), dtype=np.uint64)
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        sets = [list(shingles(text)) for text in texts[start : start + _TEXTS_AT_ONCE]]
        num_perm = NUM_BANDS * ROWS_PER_BAND
        digests = rensa.RMinHash.digests_from_token_sets(sets, num_perm=num_perm, seed=_SEED)
        rows = np.asarray(digests, dtype=np.uint64).reshape(len(sets), NUM_BANDS, ROWS_PER_BAND)
        folded = np.zeros((len(sets), NUM_BANDS), dtype=np.uint64)
        for row in range(ROWS_PER_BAND):  # FNV-1a over whole words; overflow is its arithmetic
            folded = (folded ^ rows[:, :, row]) * np.uint64(0x100000001B3)
        empty = np.array([not one for one in sets])
        keys_NB[start : start + len(sets)] = np.where(empty[:, None], 0, np.maximum(folded, 1))
    return keys_NB


def candidates(bands: Iterable[np.ndarray]) -> np.ndarray:
    """Pair texts that agree in a band.

    In a bucket each text is paired with the one before it and with the first, not with all: enough to join a
    cluster, and linear in its size.

    Args:
        bands: For each band the keys of all texts, [N] uint64; one at a time is held.

    Returns:
        [P, 2] int64, first < second, each pair once.
    """
    found: list[np.ndarray] = []
    for keys_N in bands:
        order = np.argsort(keys_N, kind="stable")  # stable: within a bucket in the order of the texts
        ranked = keys_N[order]
        same = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0)) + 1
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        first = starts[np.searchsorted(starts, same, side="right") - 1]
        found += [
            np.stack([order[same - 1], order[same]], axis=1),
            np.stack([order[first], order[same]], axis=1),
        ]
    pairs = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
    return np.unique(pairs, axis=0)


def verified(
    pairs: np.ndarray,
    texts_of: Callable[[Sequence[int]], Sequence[str]],
    *,
    jaccard: float,
    containment: float,
    at_once: int = 20_000,
) -> Iterator[NearPair]:
    """Keep the candidates that are near duplicates by their exact shingle sets.

    Args:
        pairs: From `candidates`, [P, 2].
        texts_of: Looks up texts by their places, which ascend.
        jaccard: Least similarity.
        containment: Least containment that counts instead, of texts with at least 5 shingles.
        at_once: Pairs looked up together.

    Yields:
        Near duplicates in ascending order.
    """
    for start in range(0, len(pairs), at_once):
        part = pairs[start : start + at_once]
        places = np.unique(part)
        sets = dict(zip(places.tolist(), map(shingles, texts_of(places.tolist())), strict=True))
        for first, second in part.tolist():
            one = _similarity(first, second, sets[first], sets[second])
            smaller = min(len(sets[first]), len(sets[second]))
            if one.jaccard >= jaccard or (one.containment >= containment and smaller >= _ENOUGH_SHINGLES):
                yield one


_ENOUGH_SHINGLES = 5  # one shared phrase is contained in many texts


def _similarity(first: int, second: int, own: frozenset[str], other: frozenset[str]) -> NearPair:
    shared = len(own & other)
    either, smaller = len(own) + len(other) - shared, min(len(own), len(other))
    return NearPair(first, second, shared / either if either else 0.0, shared / smaller if smaller else 0.0)


def miss_probability(jaccard: float) -> float:
    """Probability that two texts of a given similarity are no candidates.

    (1 - J^5)^25: 5e-5 at 0.8, 0.01 at 0.7, 0.45 at 0.5.

    Source:
        Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.
    """
    return float((1 - jaccard**ROWS_PER_BAND) ** NUM_BANDS)


def clusters(num: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Join texts that are connected by pairs.

    Args:
        num: Texts in all.
        pairs: Places of near duplicates.

    Returns:
        [num] int64: the earliest member of each text's cluster; its own place where it stands alone.
    """
    root = np.arange(num)

    def top(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]  # halve the path for the next one
            place = int(root[place])
        return place

    for first, second in pairs:
        one, other = top(first), top(second)
        root[max(one, other)] = min(one, other)
    for place in range(num):
        root[place] = top(place)
    return root
