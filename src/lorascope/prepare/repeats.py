"""Which examples almost repeat one another, in their prompts, in their answers, or in both.

A pass over the staged examples: exact duplicates stand for one another by their hashes, so that only
different texts are compared; wording that many texts share is taken out first, or every prompt of one
template would repeat every other.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lorascope.prepare.facts import Facts
from lorascope.prepare.near import (
    NUM_BANDS,
    band_keys,
    candidates,
    clusters,
    signatures,
    verified,
)
from lorascope.prepare.processes import in_processes, processes_for
from lorascope.prepare.shingles import Shingles, common_shingles, shingles
from lorascope.prepare.staged import StagedFile
from lorascope.run.progress import Observer

KINDS = ("prompt", "answer", "both")
"""What may be near: the question, the answers, or question and answers taken together."""
CONTAINMENT = 0.9
_SAMPLE = 5000


Pairs = np.ndarray
"""The two examples of each near duplicate of one kind, exact ones left out, [P, 2] int64.

The one whose side is not decided yet, or is training, stands first.
"""
NO_PAIRS = np.zeros((0, 2), dtype=np.int64)


def find_repeats(
    staged: StagedFile, facts: Facts, *, jaccard: float, folder: Path, observer: Observer
) -> dict[str, Pairs]:
    """Find near duplicates among all examples.

    Args:
        staged: The examples.
        facts: Of them.
        jaccard: Least similarity of two texts.
        folder: For files that are read band by band and removed at the end; 300 bytes an example.
        observer: Told about progress.

    Returns:
        Pairs by kind.
    """
    # Examples that are held out already come last, so that in every bucket a training one comes first.
    order_N = np.argsort(facts.side_N > 0, kind="stable")
    heads = _different(facts, order_N)
    if not heads["both"].any():
        return dict.fromkeys(KINDS, NO_PAIRS)
    common = _common(staged, np.flatnonzero(heads["both"]))
    bands = _Bands(folder)
    with observer.task("comparing texts", len(facts), "examples") as advance, bands:
        done = 0
        for keys in _all_keys(staged, common):
            own = slice(done, done + len(keys["both"]))
            bands.append({kind: np.where(heads[kind][own, None], keys[kind], np.uint32(0)) for kind in KINDS})
            done = own.stop
            advance(len(keys["both"]))
    found = {}
    for kind in KINDS:
        pairs = candidates(keys_N[order_N] for keys_N in bands.read(kind))
        found[kind] = _confirmed(kind, order_N[pairs], staged, common, jaccard)
    return found


def _different(facts: Facts, order_N: np.ndarray) -> dict[str, np.ndarray]:
    """The first examples of each kind, in an order, of all that are exactly the same, [N] bool by kind."""
    heads = {}
    for kind, hash_N in (("prompt", facts.prompt_N), ("answer", facts.answer_N), ("both", facts.both_N)):
        _, first = np.unique(hash_N[order_N], return_index=True)
        heads[kind] = np.zeros(len(facts), dtype=bool)
        heads[kind][order_N[first]] = True
    return heads


def _common(staged: StagedFile, places: np.ndarray) -> dict[str, np.ndarray]:
    sample = places[:: max(1, len(places) // _SAMPLE)].tolist()
    texts = [_texts_of_turns(turns) for turns in staged.take(sample, "messages")]
    return {
        "prompt": common_shingles(dict.fromkeys(prompt for prompt, _ in texts)),
        "answer": common_shingles(dict.fromkeys(answer for _, answer in texts)),
    }


def _texts_of_turns(turns: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """What is asked before the first answer, system messages aside, and all that is answered."""
    first = next((n for n, turn in enumerate(turns) if turn["role"] == "assistant"), len(turns))
    asked = [part for turn in turns[:first] if turn["role"] != "system" for part in _said(turn)]
    told = [part for turn in turns if turn["role"] == "assistant" for part in _answered(turn)]
    return "\n".join(asked), "\n".join(told)


def _said(turn: dict[str, Any]) -> tuple[str, str]:
    return turn["content"], turn["context"] or ""


def _answered(turn: dict[str, Any]) -> list[str]:
    return [
        turn["reasoning"] or "",
        turn["content"],
        *(call["arguments"] for call in turn["tool_calls"] or ()),
    ]


def _shingles(
    turns: Iterable[Sequence[dict[str, Any]]], common: dict[str, np.ndarray]
) -> tuple[Shingles, Shingles]:
    """Shingles of the prompts and of the answers of some examples."""
    texts = [_texts_of_turns(one) for one in turns]
    prompts, answers = shingles(asked for asked, _ in texts), shingles(told for _, told in texts)
    return prompts.without(common["prompt"]), answers.without(common["answer"])


@dataclass(frozen=True, slots=True)
class _Sketch:
    """Makes the band keys of one batch, here or in another process."""

    staged: StagedFile
    common: dict[str, np.ndarray]

    def keys(self, index: int) -> dict[str, np.ndarray]:
        """Band keys of the batch by kind, [n, 25]."""
        return _keys(self.staged.batch(index), self.common)


def _all_keys(staged: StagedFile, common: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    sketch, num = _Sketch(staged, common), staged.num_batches
    processes = processes_for(staged.path.stat().st_size // _STAGED_PER_BYTE)
    if processes == 1:
        yield from map(sketch.keys, range(num))
        return
    for _, keys in in_processes(sketch.keys, ((index, (index,)) for index in range(num)), processes):
        yield keys


_STAGED_PER_BYTE = 5  # a staged example is about five times as large as its row


def _keys(batch: pa.RecordBatch, common: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    prompt, answer = map(signatures, _shingles(batch.column("messages").to_pylist(), common))
    signed = {"prompt": prompt, "answer": answer, "both": np.minimum(prompt, answer)}
    return {kind: band_keys(signed[kind]) for kind in KINDS}


def _confirmed(
    kind: str, pairs: np.ndarray, staged: StagedFile, common: dict[str, np.ndarray], jaccard: float
) -> Pairs:
    def sets_of(places: Sequence[int]) -> list[frozenset[int]]:
        prompts, answers = _shingles(staged.take(places, "messages"), common)
        if kind == "both":
            return [prompts.of(n) | answers.of(n) for n in range(len(places))]
        return [{"prompt": prompts, "answer": answers}[kind].of(n) for n in range(len(places))]

    found = verified(pairs, sets_of, jaccard=jaccard, containment=CONTAINMENT)
    return np.array([(one.first, one.second) for one in found], dtype=np.int64).reshape(-1, 2)


def prompt_groups(facts: Facts, repeats: dict[str, Pairs]) -> np.ndarray:
    """Join examples whose prompts are the same or nearly so, or that nearly repeat one another as a whole.

    Returns:
        [N] int64: the earliest example of each one's group.
    """
    _, first, member_N = np.unique(facts.prompt_N, return_index=True, return_inverse=True)
    same = np.stack([first[member_N], np.arange(len(facts))], axis=1)
    pairs = [same, *(repeats[kind] for kind in ("prompt", "both") if kind in repeats)]
    return clusters(len(facts), np.concatenate(pairs))


class _Bands:
    """Band keys on disk, a file for each band of each kind: memory holds one band at a time."""

    def __init__(self, folder: Path) -> None:
        self.paths = {kind: [folder / f"{kind}-{band}.keys" for band in range(NUM_BANDS)] for kind in KINDS}
        self._stack = ExitStack()
        self._files: dict[str, list[Any]] = {}

    def __enter__(self) -> "_Bands":
        for kind, paths in self.paths.items():
            self._files[kind] = [self._stack.enter_context(path.open("wb")) for path in paths]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, keys: dict[str, np.ndarray]) -> None:
        """Write the keys of some more examples, [n, 25] by kind."""
        for kind, keys_NB in keys.items():
            for band, file in enumerate(self._files[kind]):
                file.write(np.ascontiguousarray(keys_NB[:, band]).tobytes())

    def read(self, kind: str) -> Iterator[np.ndarray]:
        """The bands of a kind, one after the other; each file goes once it is read."""
        for path in self.paths[kind]:
            yield np.fromfile(path, dtype=np.uint32)
            path.unlink()
