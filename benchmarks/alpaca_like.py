"""Synthetic rows in Alpaca's shape: lengths like Stanford's, words by Zipf's law, repetitions at known rates."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SHARE_EXACT, SHARE_NEAR, SHARE_INPUT = 0.01, 0.02, 0.4
"""Rows that repeat an earlier one, that repeat it with one word changed, and that have an input."""

_VOCABULARY = 30_000
_SYLLABLES = [
    c + v for c in "bcdfghklmnprstvw" for v in ("a", "e", "i", "o", "u", "ar", "en", "ing", "or", "ly")
]


def rows(num: int, *, seed: int = 0) -> Iterator[dict[str, str]]:
    """Make rows.

    Args:
        num: How many.
        seed: Of everything.
    """
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(_SYLLABLES, size=rng.integers(1, 4))) for _ in range(_VOCABULARY)]
    share_V = 1 / np.arange(1, _VOCABULARY + 1)
    share_V /= share_V.sum()
    earlier: list[dict[str, str]] = []
    for start in range(0, num, 10_000):
        count = min(10_000, num - start)
        lengths_N3 = np.stack(
            [rng.integers(6, 20, count), rng.integers(5, 40, count), rng.geometric(1 / 55, count) + 3], axis=1
        )
        lengths_N3[rng.random(count) >= SHARE_INPUT, 1] = 0
        drawn = iter(rng.choice(_VOCABULARY, size=int(lengths_N3.sum()), p=share_V).tolist())
        kinds = rng.random(count)
        for kind, lengths in zip(kinds.tolist(), lengths_N3.tolist(), strict=True):
            instruction, context, output = (
                " ".join(words[next(drawn)] for _ in range(length)) for length in lengths
            )
            row = {"instruction": f"{instruction}?", "input": context, "output": f"{output}."}
            if kind < SHARE_EXACT + SHARE_NEAR and earlier:
                row = dict(earlier[int(rng.integers(len(earlier)))])
                if kind >= SHARE_EXACT:
                    row["output"] = f"{row['output']} {words[int(rng.integers(_VOCABULARY))]}"
            elif len(earlier) < 50_000:
                earlier.append(row)
            yield row


def write(path: Path, num: int, *, seed: int = 0) -> None:
    """Write rows as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(num, seed=seed):
            file.write(json.dumps(row) + "\n")
