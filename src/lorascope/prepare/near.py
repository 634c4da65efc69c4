"""Texts that are almost the same: MinHash finds candidates, exact sets of shingles decide.

MinHash signatures (rensa) are cut into bands; texts that agree in
a band are candidates, and only pairs whose exact Jaccard similarity or containment passes the threshold
count. So no pair is reported that is none; a true pair is missed with the probability of `miss_probability`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from lorascope.prepare.shingles import Shingles

NUM_BANDS, ROWS_PER_BAND = 25, 5
"""125 hash functions in 25 bands of 5: see `miss_probability`."""

_SEED = 1
_EMPTY = np.uint32(0xFFFFFFFF)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


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


def signatures(texts: Shingles) -> np.ndarray:
    """MinHash signatures of texts, [N, 125] uint32; that of two texts together is the minimum of both."""
    import rensa

    num_perm = NUM_BANDS * ROWS_PER_BAND
    digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        texts.hashes, texts.starts.astype(np.uint64), num_perm=num_perm, seed=_SEED
    )
    flat = np.fromiter(chain.from_iterable(digests.to_rows()), dtype=np.uint32, count=len(texts) * num_perm)
    found_NS = flat.reshape(len(texts), num_perm)
    found_NS[np.diff(texts.starts) == 0] = _EMPTY
    return found_NS


def band_keys(signatures_NS: np.ndarray) -> np.ndarray:
    """Hash the bands of signatures: [N, 125] -> [N, 25] uint32; 0 for a set that is empty.

    Two different bands of a million get the same key by chance 100 times: candidates that the sets refute.
    """
    rows = signatures_NS.reshape(len(signatures_NS), NUM_BANDS, ROWS_PER_BAND).astype(np.uint64)
    keys_NB = np.zeros(rows.shape[:2], dtype=np.uint64)
    for row in range(ROWS_PER_BAND):  # FNV-1a over whole words; overflow is its arithmetic
        keys_NB = (keys_NB ^ rows[:, :, row]) * np.uint64(0x100000001B3)
    short_NB = np.maximum((keys_NB >> _HALF) ^ (keys_NB & _LOW), np.uint64(1)).astype(np.uint32)
    empty_N = (signatures_NS == _EMPTY).all(axis=1)
    return np.where(empty_N[:, None], np.uint32(0), short_NB)


def candidates(bands: Iterable[np.ndarray]) -> np.ndarray:
    """Pair texts that agree in a band.

    In a bucket each text is paired with the one before it and with the first, not with all: enough to join a
    cluster, and linear in its size.

    Args:
        bands: For each band the keys of all texts, [N] uint32; one at a time is held.

    Returns:
        [P, 2] int64, first < second, each pair once, ascending.
    """
    found = np.zeros(0, dtype=np.uint64)  # first * 2^32 + second
    for keys_N in bands:
        order = np.argsort(keys_N, kind="stable")  # stable: within a bucket in the order of the texts
        ranked = keys_N[order]
        same = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0)) + 1
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        first = starts[np.searchsorted(starts, same, side="right") - 1]
        second = order[same].astype(np.uint64)
        pairs = [order[other].astype(np.uint64) << _HALF | second for other in (same - 1, first)]
        found = np.unique(np.concatenate([found, *pairs]))
    return np.stack([found >> _HALF, found & _LOW], axis=1).astype(np.int64)


def verified(
    pairs: np.ndarray,
    sets_of: Callable[[Sequence[int]], Sequence[frozenset[int]]],
    *,
    jaccard: float,
    containment: float,
    at_once: int = 50_000,
) -> Iterator[NearPair]:
    """Keep the candidates that are near duplicates by their exact shingle sets.

    Args:
        pairs: From `candidates`, [P, 2].
        sets_of: Looks up the shingles of texts by their places, which ascend.
        jaccard: Least similarity.
        containment: Least containment that counts instead, of texts with at least 5 shingles.
        at_once: Pairs looked up together.

    Yields:
        Near duplicates in ascending order.
    """
    for start in range(0, len(pairs), at_once):
        part = pairs[start : start + at_once]
        places = np.unique(part).tolist()
        sets = dict(zip(places, sets_of(places), strict=True))
        for first, second in part.tolist():
            one = _similarity(first, second, sets[first], sets[second])
            smaller = min(len(sets[first]), len(sets[second]))
            if one.jaccard >= jaccard or (one.containment >= containment and smaller >= _ENOUGH_SHINGLES):
                yield one


_ENOUGH_SHINGLES = 5  # one shared phrase is contained in many texts


def _similarity(first: int, second: int, own: frozenset[int], other: frozenset[int]) -> NearPair:
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


def clusters(num: int, pairs: np.ndarray) -> np.ndarray:
    """Join texts that are connected by pairs.

    Args:
        num: Texts in all.
        pairs: Places of near duplicates, [P, 2].

    Returns:
        [num] int64: the earliest member of each text's cluster; its own place where it stands alone.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(num, num))
    _, cluster_N = connected_components(links, directed=False)
    _, first, member_N = np.unique(cluster_N, return_index=True, return_inverse=True)
    return np.asarray(first[member_N])
