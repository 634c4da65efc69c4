"""Texts as sets of their 3-word shingles, each a hash: what two texts that are almost the same share."""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from lorascope.metrics.words import WORD, normalised

_LENGTH = 3
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_MIX, _MIX_AGAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_MOST_WORDS = 500_000
_LEAST_COMMON, _SHARE_COMMON = 20, 0.01


class _WordHashes(dict[str, int]):
    """64 bits of BLAKE2b for each word, the same in every process; the words met last are remembered."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _MOST_WORDS:
            self.clear()
        digest = hashlib.blake2b(word.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
        return self.setdefault(word, int.from_bytes(digest, "little"))


_WORDS = _WordHashes()


@dataclass(frozen=True, slots=True)
class Shingles:
    """The shingles of several texts, those of one text after those of the one before.

    Two different shingles get the same hash by a chance of 2^-64; of pairs of texts with a hundred shingles
    each, one in 10^15 is judged by one shingle too many.

    Attributes:
        hashes: One for each shingle of each text, repetitions included, [S] uint64.
        starts: Where each text begins, and where the last one ends, [N + 1] int64.
    """

    hashes: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, place: int) -> frozenset[int]:
        """The different shingles of one text."""
        return frozenset(self.hashes[self.starts[place] : self.starts[place + 1]].tolist())

    def without(self, common: np.ndarray) -> "Shingles":
        """Leave out shingles; `common` ascends."""
        if not len(common):
            return self
        nearest = common[np.minimum(np.searchsorted(common, self.hashes), len(common) - 1)]
        kept = nearest != self.hashes
        return Shingles(self.hashes[kept], np.concatenate([[0], np.cumsum(kept)])[self.starts])


def _words(text: str) -> list[str]:
    # Of ASCII nothing needs to be normalised but its case.
    words = _ASCII_WORD.findall(text.lower()) if text.isascii() else WORD.findall(normalised(text))
    return words + [""] * (_LENGTH - len(words)) if 0 < len(words) < _LENGTH else words


def shingles(texts: Iterable[str]) -> Shingles:
    """Cut texts into 3-word shingles, case, Unicode form and punctuation aside.

    A text of one or two words is one shingle, one without words none.
    """
    words = [_words(text) for text in texts]
    lengths_N = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    total = int(lengths_N.sum())
    flat = np.fromiter(map(_WORDS.__getitem__, chain.from_iterable(words)), dtype=np.uint64, count=total)
    ends_N = np.cumsum(lengths_N)
    whole = np.ones(total, dtype=bool)  # the last two words of a text begin no shingle
    last = ends_N[lengths_N > 0] - 1
    whole[last] = whole[last - 1] = False
    first = np.flatnonzero(whole)
    hashes = (flat[first] * _MIX ^ flat[first + 1]) * _MIX_AGAIN ^ flat[first + 2]
    hashes = (hashes ^ hashes >> np.uint64(29)) * _MIX
    counts_N = np.where(lengths_N > 0, lengths_N - (_LENGTH - 1), 0)
    return Shingles(hashes ^ hashes >> np.uint64(32), np.concatenate([[0], np.cumsum(counts_N)]))


def common_shingles(texts: Collection[str]) -> np.ndarray:
    """The wording that many texts share: the template around what they say, which makes no two of them alike.

    Args:
        texts: A sample of different texts.

    Returns:
        Shingles of at least 1 % of them, and of at least 20; ascending, uint64.
    """
    every = shingles(texts)
    own = [
        np.unique(every.hashes[start:end]) for start, end in zip(every.starts, every.starts[1:], strict=False)
    ]
    found, counts = np.unique(np.concatenate([*own, every.hashes[:0]]), return_counts=True)
    return found[counts >= max(_LEAST_COMMON, len(texts) * _SHARE_COMMON)]
