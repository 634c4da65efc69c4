"""Answers scored behind their own prompt and behind another row's."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.run.dataset import IGNORE, Example, load_examples
from lorascope.run.folder import RunFolder
from lorascope.train.prompt_use import swap_prompts


def row(name: str, prompt: list[int], *rest: tuple[list[int], bool]) -> Example:
    """A prompt, then stretches that are targets or not."""
    ids, labels = list(prompt), [IGNORE] * len(prompt)
    for stretch, is_target in rest:
        ids += stretch
        labels += stretch if is_target else [IGNORE] * len(stretch)
    return Example(example_id=name, input_ids=np.array(ids), labels=np.array(labels))


def told(example: Example) -> tuple[str, list[int], list[int]]:
    return example.example_id, example.input_ids.tolist(), example.labels.tolist()


def test_each_answer_stands_behind_another_rows_prompt() -> None:
    rows = [row("a", [1, 2], ([7], True)), row("b", [3], ([8, 9], True))]
    (own, other), (_, second) = swap_prompts(rows, longest=None)
    assert told(own) == ("a", [1, 2, 7], [IGNORE, IGNORE, 7])
    assert told(other) == ("b", [3, 7], [IGNORE, 7])
    assert told(second) == ("a", [1, 2, 8, 9], [IGNORE, IGNORE, 8, 9])


def test_only_the_first_answer_of_a_conversation_counts() -> None:
    rows = [row("a", [1], ([7], True), ([2, 3], False), ([8], True)), row("b", [4], ([9], True))]
    (own, other), _ = swap_prompts(rows, longest=None)
    assert told(own) == ("a", [1, 7], [IGNORE, 7])
    assert told(other) == ("b", [4, 7], [IGNORE, 7])


def test_rows_that_share_their_prompt_are_not_swapped_with_each_other() -> None:
    rows = [row("a", [1], ([7], True)), row("b", [1], ([8], True)), row("c", [2], ([9], True))]
    assert [(own.example_id, other.example_id) for own, other in swap_prompts(rows, longest=None)] == [
        ("a", "c"),  # its partner would be b, one further on
        ("b", "c"),
        ("c", "a"),
    ]
    assert swap_prompts(rows[:2], longest=None) == []


def test_rows_without_a_prompt_and_pairs_beyond_the_context_are_left_out() -> None:
    rows = [row("text", [], ([5, 6], True)), row("a", [1, 2, 3], ([7], True)), row("b", [4], ([8, 9], True))]
    assert [own.example_id for own, _ in swap_prompts(rows, longest=4)] == ["a"]  # b would have five tokens


@pytest.mark.end_to_end
def test_what_is_written_is_what_plain_transformers_and_peft_compute(
    straight: RunFolder, alpaca_base: Path
) -> None:
    import peft
    import torch
    import transformers

    found = json.loads(straight.prompt_use.read_text())
    assert found["split"] == "training"  # three validation rows are too few
    rows = {one.example_id: one for one in load_examples(straight.dataset, "train")[0]}
    model = transformers.AutoModelForCausalLM.from_pretrained(alpaca_base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        model = peft.PeftModel.from_pretrained(model, straight.adapter).eval()

    def nll(prompt: Example, answer: Example) -> float:
        cut, start = (int(np.argmax(one.labels != IGNORE)) for one in (prompt, answer))
        ids = torch.tensor([[*prompt.input_ids[:cut], *answer.input_ids[start:]]])
        with torch.no_grad():
            logp = model(ids).logits[0].double().log_softmax(-1)
        return -float(sum(logp[at - 1, ids[0, at]] for at in range(cut, ids.shape[1])))

    for at, name in enumerate(found["example_ids"]):
        assert found["own_nll"][at] == pytest.approx(nll(rows[name], rows[name]), rel=1e-5)
        other = rows[found["prompt_ids"][at]]
        assert found["other_nll"][at] == pytest.approx(nll(other, rows[name]), rel=1e-5)
    assert len(found["example_ids"]) >= 20


@pytest.mark.end_to_end
def test_measuring_it_changes_nothing_of_the_training(
    ready_run: Callable[..., RunFolder],
    train: Callable[..., dict[str, Any]],
    straight: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Any,
) -> None:
    from lorascope.train import stage

    monkeypatch.setattr(stage, "measure_prompt_use", lambda training: None)
    run = ready_run()
    train(run)
    assert not run.prompt_use.exists()
    assert outcome(run) == outcome(straight)
