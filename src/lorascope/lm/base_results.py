"""Losses and answers of a base model, which no training changes: computed once in a run, then read again.

They are kept under all that decides their bits: weights, tokenizer, token ids, number format, device,
versions, our own code, and how the model is run. Where one of these differs, they are computed.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lorascope
from lorascope.errors import RunError, parts
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.lm.generate import Answer, Decoding, generate
from lorascope.lm.pair import Pair
from lorascope.lm.passes import how_it_runs, settle
from lorascope.lm.score import ExampleScores, score_examples
from lorascope.run.cache import keep, recall
from lorascope.run.dataset import Example, content_hash
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import machine, versions

_NOTHING: Callable[[int], None] = lambda done: None  # noqa: E731


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseResults:
    """Where results of a base are kept.

    Attributes:
        folder: A run's cache; None keeps nothing, and everything is computed.
        observer: Told what was reused, and what could not be.
        reused: What was, so far.
    """

    folder: Path | None = None
    observer: Observer = SILENT
    reused: list[str] = field(default_factory=list)


def score_base(
    kept: BaseResults,
    pair: Pair,
    examples: Sequence[Example],
    *,
    batch_size: int | None = None,
    advance: Callable[[int], None] = _NOTHING,
) -> ExampleScores:
    """Score examples with the base, or read what it scored before; see `score_examples`."""

    def compute() -> ExampleScores:
        return score_examples(model, examples, pad_id=pair.pad_id, batch_size=batch_size, advance=advance)

    with pair.base() as model:
        if kept.folder is None:
            return compute()
        scorable = [one for one in examples if one.num_target_tokens]
        if scorable:
            settle(model, scorable, pad_id=pair.pad_id)  # the facts tell how it is run
        facts = {
            **_facts(model, pair),
            "examples": content_hash([("", examples)]),
            "pad_id": pair.pad_id,
            "batch_size": batch_size,
        }
        found = _recalled(kept, "base-scores", "base scores", facts)
        if found is not None:
            advance(len(examples))
            return ExampleScores(
                nll_sum_N=np.array(found["nll_sum"], dtype=np.float64),
                num_tokens_N=np.array(found["num_tokens"], dtype=np.int64),
                num_correct_N=np.array(found["num_correct"], dtype=np.int64),
            )
        scores = compute()
    columns = {
        "nll_sum": scores.nll_sum_N.tolist(),
        "num_tokens": scores.num_tokens_N.tolist(),
        "num_correct": scores.num_correct_N.tolist(),
    }
    if np.isfinite(scores.nll_sum_N).all():
        _keep(kept, "base-scores", facts, columns)
    return scores


def answer_base(
    kept: BaseResults,
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    stop_ids: Sequence[int],
    batch_size: int,
    advance: Callable[[int], None] = _NOTHING,
) -> list[Answer]:
    """Answer prompts with the base, or read what it answered before; see `generate`."""
    with pair.base() as model:
        facts: dict[str, Any] = {}
        if kept.folder is not None and prompts:
            facts = {
                **_facts(model, pair),
                "prompts": _hash_of_ids(prompts),
                "decoding": asdict(decoding),
                "stop_ids": list(stop_ids),
                "pad_id": pair.pad_id,
                "batch_size": batch_size,
            }
            found = _recalled(kept, "base-answers", f"base answers, {decoding.name},", facts)
            if found is not None:
                advance(len(prompts))
                return [Answer(**{**one, "token_ids": tuple(one["token_ids"])}) for one in found]
        answers = generate(
            model,
            pair.tokenizer,
            prompts,
            decoding,
            stop_ids=stop_ids,
            batch_size=batch_size,
            advance=advance,
        )
    if facts:
        _keep(kept, "base-answers", facts, [asdict(one) for one in answers])
    return answers


def _facts(model: Any, pair: Pair) -> dict[str, Any]:
    """What decides every result of a base, to the last bit."""
    device = next(model.parameters()).device
    cuda = device.type == "cuda"
    return {
        "base": pair.base_sha256,
        "tokenizer": tokenizer_fingerprint(pair.tokenizer),
        "precision": pair.precision.name,
        "matmul": torch.get_float32_matmul_precision(),
        "device": device.type,
        "processor": torch.cuda.get_device_name(device) if cuda else machine()["processor"],
        "threads": torch.get_num_threads(),  # how a sum is divided among them is its order
        "run as": how_it_runs(model),
        "versions": versions(),
        "code": _code_hash(),
    }


@functools.cache
def _code_hash() -> str:
    """Hash of the files that compute: a checkout that is worked on keeps its version number."""
    digest = hashlib.sha256()
    package = Path(lorascope.__file__).parent
    for path in sorted([*(package / "engine").rglob("*.py"), *(package / "lm").rglob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _hash_of_ids(prompts: Sequence[Sequence[int]]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(len(prompt).to_bytes(4, "little"))
        digest.update(np.asarray(prompt, dtype="<i4").tobytes())
    return digest.hexdigest()


def _recalled(kept: BaseResults, what: str, name: str, facts: dict[str, Any]) -> Any:
    assert kept.folder is not None, "asked only where something is kept"
    found = recall(kept.folder, what, facts)
    if found.problem is not None:
        kept.observer.note(f"{name} in {found.folder} are damaged ({found.problem}): computed again")
    elif found.value is not None:
        kept.observer.note(f"{name} reused from {found.folder}, computed {found.made}")
        kept.reused.append(found.folder.name)
    return found.value


def _keep(kept: BaseResults, what: str, facts: dict[str, Any], value: Any) -> None:
    assert kept.folder is not None, "asked only where something is kept"
    try:
        keep(kept.folder, what, facts, value)
    except RunError as error:  # the results themselves are not lost, only a later run's time
        kept.observer.note(f"{what} were not kept for later: {parts(error.message)['problem']}")
