"""Results of a base are read again where everything is the same, and computed where anything differs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.lm import base_results
from lorascope.lm.base_results import BaseResults, answer_base, score_base
from lorascope.lm.generate import Decoding
from lorascope.lm.pair import Pair, load_pair
from lorascope.lm.passes import how_it_runs
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.progress import Observer

PROMPTS = [[5, 6, 7], [8, 9, 10, 11]]
GREEDY = Decoding(max_new_tokens=4)


class Notes(Observer):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def examples_of(count: int = 4) -> list[Example]:
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        ids = draw.integers(1, 300, 12 + number)
        made.append(
            Example(
                example_id=str(number),
                input_ids=ids,
                labels=np.where(np.arange(len(ids)) < 5, IGNORE, ids),
            )
        )
    return made


@pytest.fixture
def pair(alpaca_base: Path) -> Pair:
    return load_pair(str(alpaca_base), None, device="cpu")


@pytest.fixture
def kept(tmp_path: Path) -> BaseResults:
    return BaseResults(folder=tmp_path / "cache", observer=Notes())


def scored(kept: BaseResults, pair: Pair, examples: list[Example], **layout: Any) -> bool:
    """Score, and say whether the scores were reused."""
    before = len(kept.reused)
    score_base(kept, pair, examples, **layout)
    return len(kept.reused) > before


def answered(
    kept: BaseResults, pair: Pair, prompts: Any = PROMPTS, decoding: Any = GREEDY, **more: Any
) -> bool:
    before = len(kept.reused)
    answer_base(kept, pair, prompts, decoding, **{"stop_ids": [0], "batch_size": 2, **more})
    return len(kept.reused) > before


def notes_of(kept: BaseResults) -> list[str]:
    assert isinstance(kept.observer, Notes)
    return kept.observer.texts


def test_a_base_without_an_adapter_runs_packed_rows(pair: Pair) -> None:
    score_base(BaseResults(), pair, examples_of())
    assert how_it_runs(pair.model).startswith("packed rows")


def test_scores_read_again_are_those_computed_bit_for_bit(
    pair: Pair, kept: BaseResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [*examples_of(), Example(example_id="-", input_ids=np.ones(3, int), labels=np.full(3, IGNORE))]
    fresh = score_base(BaseResults(), pair, examples)
    first = score_base(kept, pair, examples)
    monkeypatch.setattr(base_results, "score_examples", None)  # nobody asks the model again
    done: list[int] = []
    again = score_base(kept, pair, examples, advance=done.append)
    assert sum(done) == 5
    for name in ("nll_sum_N", "num_tokens_N", "num_correct_N"):
        values = [getattr(one, name) for one in (fresh, first, again)]
        assert values[0].dtype == values[2].dtype
        assert values[0].tobytes() == values[1].tobytes() == values[2].tobytes()
    (told,) = notes_of(kept)
    assert told.startswith("base scores reused from ") and kept.reused[0] in told


def test_answers_read_again_are_those_given(
    pair: Pair, kept: BaseResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled = Decoding(max_new_tokens=4, temperature=0.9, seed=3)
    layout: Any = {"stop_ids": [0], "batch_size": 2}
    first = [answer_base(kept, pair, PROMPTS, one, **layout) for one in (GREEDY, sampled)]
    monkeypatch.setattr(base_results, "generate", None)
    again = [answer_base(kept, pair, PROMPTS, one, **layout) for one in (GREEDY, sampled)]
    assert first == again
    assert len(kept.reused) == 2
    assert notes_of(kept)[0].startswith("base answers, greedy, reused from ")


def test_nothing_is_kept_without_a_folder_and_no_prompts_are_no_result(
    pair: Pair, kept: BaseResults, tmp_path: Path
) -> None:
    assert not scored(BaseResults(), pair, examples_of())
    assert not answered(kept, pair, prompts=[]) and not answered(kept, pair, prompts=[])
    assert list(tmp_path.iterdir()) == []


def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_results, "_code_hash", lambda: "other")


def other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_results, "versions", lambda: {"torch": "1.0"})


def other_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_results, "machine", lambda: {"processor": "another"})


def other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)


def other_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")


def other_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_results, "tokenizer_fingerprint", lambda _: "other")


def other_way_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_results, "how_it_runs", lambda _: "padded batches")


@pytest.mark.parametrize(
    "change",
    [
        other_code,
        other_versions,
        other_processor,
        other_threads,
        other_products,
        other_tokenizer,
        other_way_to_run,
    ],
)
def test_whatever_computes_otherwise_computes_again(
    change: Callable[[pytest.MonkeyPatch], None],
    pair: Pair,
    kept: BaseResults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = [scored(kept, pair, examples_of()), answered(kept, pair)]
    with monkeypatch.context() as patched:
        change(patched)
        asked += [scored(kept, pair, examples_of()), answered(kept, pair)]
    assert asked == [False] * 4
    assert scored(kept, pair, examples_of()) and answered(kept, pair)  # the first ones are still there


def test_other_weights_precision_and_padding_are_scored_again(pair: Pair, kept: BaseResults) -> None:
    examples = examples_of()
    assert not scored(kept, pair, examples)
    assert not scored(kept, dataclasses.replace(pair, base_sha256="another"), examples)
    half = dataclasses.replace(pair.precision, name="bf16")
    assert not scored(kept, dataclasses.replace(pair, precision=half), examples)
    assert not scored(kept, pair, examples, batch_size=2)
    assert scored(kept, pair, examples)


def test_other_examples_are_scored_again_and_another_name_is_not(pair: Pair, kept: BaseResults) -> None:
    examples = examples_of()
    assert not scored(kept, pair, examples)
    assert not scored(kept, pair, examples[:-1])
    assert not scored(kept, pair, examples[::-1])
    ids = examples[0].input_ids.copy()
    ids[2] += 1  # a token of the prompt
    assert not scored(kept, pair, [dataclasses.replace(examples[0], input_ids=ids), *examples[1:]])
    labels = examples[0].labels.copy()
    labels[5] = IGNORE  # one target less
    assert not scored(kept, pair, [dataclasses.replace(examples[0], labels=labels), *examples[1:]])
    assert scored(kept, pair, [dataclasses.replace(examples[0], example_id="renamed"), *examples[1:]])


@pytest.mark.parametrize(
    "changed",
    [
        {"prompts": [[5, 6, 7], [8, 9, 10]]},
        {"prompts": [[5, 6, 7, 8], [9, 10, 11]]},  # the same ids, cut elsewhere
        {"prompts": PROMPTS[::-1]},
        {"decoding": Decoding(max_new_tokens=5)},
        {"decoding": Decoding(max_new_tokens=4, temperature=0.5)},
        {"decoding": Decoding(max_new_tokens=4, temperature=0.9, seed=1)},
        {"decoding": Decoding(max_new_tokens=4, temperature=0.9, top_p=0.5)},
        {"stop_ids": [0, 1]},
        {"batch_size": 1},
    ],
)
def test_other_prompts_decoding_and_stops_are_answered_again(
    changed: dict[str, Any], pair: Pair, kept: BaseResults
) -> None:
    decoding = Decoding(max_new_tokens=4, temperature=0.9) if "decoding" in changed else GREEDY
    assert not answered(kept, pair, decoding=decoding)
    assert not answered(kept, pair, **{"decoding": decoding, **changed})
    assert answered(kept, pair, decoding=decoding)


def test_damaged_results_are_named_and_computed_again(pair: Pair, kept: BaseResults) -> None:
    assert not scored(kept, pair, examples_of())
    assert kept.folder is not None
    (file,) = kept.folder.glob("*/result.json")
    file.write_text(file.read_text().replace('"nll_sum": [', '"nll_sum": [1'))
    assert not scored(kept, pair, examples_of())
    (told,) = notes_of(kept)
    assert "are damaged (result.json was changed after it was written): computed again" in told
    assert scored(kept, pair, examples_of())


def test_a_disk_that_refuses_costs_only_the_reuse(pair: Pair, kept: BaseResults) -> None:
    assert kept.folder is not None
    kept.folder.write_text("a file in the way")
    assert score_base(kept, pair, examples_of()).num_tokens_N.sum() > 0
    (told,) = notes_of(kept)
    assert "were not kept for later" in told


def test_scores_that_are_not_finite_are_not_kept(pair: Pair, kept: BaseResults) -> None:
    pair.model.transformer.h[0].mlp.c_fc.weight.data.fill_(torch.nan)
    score_base(kept, pair, examples_of())
    assert kept.folder is not None and not kept.folder.exists()
