"""The work that all contenders share: which examples a step has, which folder holds what.

Needs numpy and nothing else, so that the peers' processes, which run without lorascope, can read it too.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

SEED, RATE, RANK, ALPHA = 0, 2e-4, 8, 16
TARGETS = ("c_attn", "c_proj")
CLASSIC_LENGTH = 512
"""Tokens that the classic recipe pads every example to."""
MAX_NORM = 1.0
IGNORE = -100
DATA_SETS = {
    "alpaca": "Alpaca rows in Alpaca's wording",
    "bare": "the same rows as bare instruction and answer, without a shared preamble",
    "long": "the rows with the longest answers, in Alpaca's wording",
    "short": "rows of at most 96 tokens, for the 50 steps of the parity gate",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example: token ids and labels, [T] int64; -100 where a token is no target."""

    ids: np.ndarray
    labels: np.ndarray

    @property
    def num_targets(self) -> int:
        """Tokens that are learned; the first of a text is predicted from nothing."""
        return int((self.labels[1:] != IGNORE).sum())


@dataclass(frozen=True, slots=True)
class Job:
    """What one process measures.

    Attributes:
        folder: The prepared work.
        kind: A contender, a rung of the ladder, "limit", "profile" or a half of the parity gate.
        data: Key of `DATA_SETS`.
        batch: Examples in an optimizer step.
        micro: Examples in a pass of a peer; the batch is that of one pass where it is larger.
        precision: "float32" or "bf16".
        dropout: Of the adapter; the base has none.
        row_tokens: Of lorascope's rows; None for what it ships with.
        length: Tokens in a row that TRL packs.
    """

    folder: str
    kind: str
    data: str = "alpaca"
    batch: int = 32
    micro: int = 4
    precision: str = "float32"
    dropout: float = 0.0
    row_tokens: int | None = None
    length: int = 1024

    def written(self) -> str:
        """As one argument of a command."""
        return json.dumps(asdict(self))


def read_job(written: str) -> Job:
    """Undo `Job.written`."""
    return Job(**json.loads(written))


def save_rows(path: Path, rows: Sequence[Tokens]) -> None:
    """Write examples end to end."""
    np.savez(
        path,
        ids=np.concatenate([row.ids for row in rows]).astype(np.int32),
        labels=np.concatenate([row.labels for row in rows]).astype(np.int32),
        ends=np.cumsum([len(row.ids) for row in rows]),
    )


def load_rows(folder: Path, data: str) -> list[Tokens]:
    """The examples of a data set in the order of all contenders' steps."""
    with np.load(folder / f"{data}.npz") as stored:
        cuts = stored["ends"][:-1]
        ids, labels = (np.split(stored[name].astype(np.int64), cuts) for name in ("ids", "labels"))
    rows = [Tokens(*row) for row in zip(ids, labels, strict=True)]
    return [rows[place] for place in np.random.default_rng(SEED).permutation(len(rows))]


def step_rows(rows: Sequence[Tokens], step: int, batch: int) -> list[Tokens]:
    """The examples of one optimizer step; after the last the first follow."""
    return [rows[place % len(rows)] for place in range(step * batch, (step + 1) * batch)]


def spread(num: int) -> list[int]:
    """0 to num - 1, each prefix spread evenly: van der Corput's order, for steps sorted by length."""
    return sorted(range(num), key=lambda place: _reversed_bits((place * 0x10000) // max(1, num) + 0x8000))


def _reversed_bits(number: int) -> int:
    return int(f"{number & 0xFFFF:016b}"[::-1], 2)
