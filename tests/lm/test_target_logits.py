"""Logits of packed and of padded passes are those of transformers and PEFT, position by position."""

from typing import Any

import numpy as np
import pytest
import torch

from lorascope.lm.target_logits import TargetPass, lay_out, run_pass, with_targets
from lorascope.run.dataset import IGNORE, Example

from . import small_models
from .small_models import GPT2, SMALL

MODELS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "gpt2": (GPT2, ["c_attn", "c_proj"]),
    "llama": (SMALL, ["q_proj", "v_proj", "down_proj"]),
    "gemma": (SMALL, ["q_proj", "v_proj"]),
    "gemma2": (SMALL, ["q_proj", "v_proj"]),  # caps its logits, so it is padded
    "mistral": ({**SMALL, "sliding_window": 30}, ["q_proj", "v_proj"]),  # some examples are padded
}


def model_of(kind: str) -> Any:
    """A small model of a kind with its adapter, out of training."""
    config, targets = MODELS[kind]
    return small_models.model_of(kind, config, targets, scale=3.0).eval()


def examples_of(*, shared: int = 12) -> list[Example]:
    """Six of 20 to 45 tokens with a prefix in common, the third without a target, the last with a gap."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(6):
        ids = draw.integers(1, 120, 20 + 5 * number)
        ids[:shared] = np.arange(1, shared + 1)
        labels = ids.copy()
        labels[: shared + number % 3] = IGNORE
        if number == 2:
            labels[:] = IGNORE
        if number == 5:
            labels[20:25] = IGNORE
        made.append(Example(example_id=str(number), input_ids=ids, labels=labels))
    return made


def plain_logits(model: Any, examples: list[Example]) -> dict[tuple[int, int], np.ndarray]:
    """The oracle: each example alone, unpadded, in float64; logits by example and number of the target."""
    found = {}
    for place, example in enumerate(examples):
        with torch.no_grad():
            logit_TV = model(input_ids=torch.from_numpy(example.input_ids)[None]).logits[0].numpy()
        for number, target in enumerate(np.flatnonzero(example.labels[1:] != IGNORE)):
            found[place, number] = logit_TV[target]
    return found


def found_logits(
    model: Any, passes: list[TargetPass], *, at_a_time: int
) -> dict[tuple[int, int], np.ndarray]:
    found = {}
    for one in passes:
        logits = run_pass(model, one, pad_id=0)
        for start in range(0, len(one.example_S), at_a_time):
            stop = min(start + at_a_time, len(one.example_S))
            names = zip(one.example_S[start:stop].tolist(), one.place_S[start:stop].tolist(), strict=True)
            found |= dict(zip(names, logits(start, stop).numpy(), strict=True))
    return found


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shared", [12, 0])
def test_logits_at_every_target_are_those_of_plain_transformers_and_peft(kind: str, shared: int) -> None:
    examples = examples_of(shared=shared)
    truth = plain_logits(model_of(kind).double(), examples)
    model = model_of(kind)
    passes = lay_out(model, examples, pad_id=0, most=8)
    packed = {"gemma2": {False}, "mistral": {True, False}}.get(kind, {True})
    assert {one.row is not None for one in passes} == packed
    found = found_logits(model, passes, at_a_time=8)
    assert found.keys() == truth.keys()
    # Logits of some 10 in float32: 2^-23 of that is 1e-6, and ten times it for two layers of sums.
    for name, logit_V in truth.items():
        np.testing.assert_allclose(found[name], logit_V, rtol=0, atol=1e-5 * max(1, np.abs(logit_V).max()))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_several_rows_hold_what_one_row_holds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lorascope.lm import target_logits

    model, examples = model_of(kind), examples_of()
    whole = lay_out(model, examples, pad_id=0, most=100)
    monkeypatch.setattr(target_logits, "_ROW_TOKENS", 60)
    several = lay_out(model, examples, pad_id=0, most=100)
    assert (len(whole), len(several) > 1) == (1, True)
    one, other = (found_logits(model, passes, at_a_time=100) for passes in (whole, several))
    assert one.keys() == other.keys()
    for name, logit_V in one.items():
        np.testing.assert_allclose(other[name], logit_V, rtol=0, atol=1e-4)


def test_base_and_adapter_run_the_same_passes_and_keep_the_adapter_of_their_moment() -> None:
    model, examples = model_of("llama"), examples_of()
    (one,) = lay_out(model, examples, pad_id=0, most=100)
    with model.disable_adapter():
        base = run_pass(model, one, pad_id=0)
        expected = plain_logits(model, examples)
    adapter = run_pass(model, one, pad_id=0)
    for position, name in enumerate(zip(one.example_S.tolist(), one.place_S.tolist(), strict=True)):
        np.testing.assert_allclose(base(position, position + 1)[0].numpy(), expected[name], atol=1e-4)
    assert (base(0, 5) - adapter(0, 5)).abs().max() > 1e-2


def test_no_example_with_a_target_means_no_pass() -> None:
    assert lay_out(model_of("gpt2"), [examples_of()[2]], pad_id=0, most=8) == []


def test_a_part_of_a_pass_is_made_of_its_targets_and_what_stands_before_them() -> None:
    ids, labels = np.arange(10, 18), np.array([IGNORE, IGNORE, 12, 13, IGNORE, 15, 16, 17])
    example = Example(example_id="e", input_ids=ids, labels=labels)
    cut = with_targets(example, 1, 3)  # of the targets 12, 13, 15, 16, 17: 13 and 15
    assert cut.input_ids.tolist() == [10, 11, 12, 13, 14, 15]
    assert cut.labels.tolist() == [IGNORE, IGNORE, IGNORE, 13, IGNORE, 15]
    other = Example(example_id="f", input_ids=ids[:3], labels=labels[:3])
    one = TargetPass(
        example_S=np.array([4, 1, 1, 1, 1, 1]),
        place_S=np.array([0, 0, 1, 2, 3, 4]),
        examples={4: other, 1: example},
        row=None,
    )
    first, second = one.part(0, 3)
    assert (first.example_id, first.labels.tolist()) == ("f", [IGNORE, IGNORE, 12])
    assert (second.example_id, second.labels.tolist()) == ("e", [IGNORE, IGNORE, 12, 13])
    (alone,) = one.part(3, 5)
    assert alone.labels[alone.labels != IGNORE].tolist() == [15, 16]
