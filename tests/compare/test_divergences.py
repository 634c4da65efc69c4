import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.compare.divergences import (
    MEASURES,
    base_again,
    compare_positions,
    last_prompt_position,
    positions_within,
    side_of,
)
from lorascope.errors import NumericsError, UndefinedMetric
from lorascope.lm.target_logits import TargetPass, lay_out
from lorascope.metrics.divergence import kl_divergence
from lorascope.run.dataset import IGNORE, Example


def examples_of(vocab_size: int, count: int = 5) -> list[Example]:
    """Random tokens; the targets are the last 3, 6, 9, ... of each."""
    draw = np.random.default_rng(0)
    found = []
    for index in range(count):
        ids = draw.integers(1, vocab_size, 12 + 5 * index)
        labels = np.where(np.arange(len(ids)) < len(ids) - 3 * (index + 1), IGNORE, ids)
        found.append(Example(example_id=f"e{index}", input_ids=ids, labels=labels))
    return found


def plain_logits(base: Path, adapter: Path | None, examples: list[Example]) -> np.ndarray:
    """Logits before every target by transformers and peft alone, one row at a time, in float64."""
    import peft
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if adapter is not None:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # peft reads an attribute that transformers renamed
            model = peft.PeftModel.from_pretrained(model, adapter)
    model = model.double().eval()
    rows = []
    for example in examples:
        with torch.no_grad():
            logit_TV = model(input_ids=torch.from_numpy(example.input_ids)[None]).logits[0].numpy()
        rows.append(logit_TV[np.flatnonzero(example.labels != IGNORE) - 1])
    return np.concatenate(rows)


def oracle(a_SV: np.ndarray, b_SV: np.ndarray) -> dict[str, np.ndarray]:
    """The textbook formulas in float64, written out again."""
    p_SV = np.exp(a_SV) / np.exp(a_SV).sum(axis=1, keepdims=True)
    q_SV = np.exp(b_SV) / np.exp(b_SV).sum(axis=1, keepdims=True)
    m_SV = (p_SV + q_SV) / 2
    apart_SV = (a_SV - a_SV.mean(axis=1, keepdims=True)) - (b_SV - b_SV.mean(axis=1, keepdims=True))
    return {
        "kl_base_adapter": (p_SV * np.log(p_SV / q_SV)).sum(axis=1),
        "kl_adapter_base": (q_SV * np.log(q_SV / p_SV)).sum(axis=1),
        "js": ((p_SV * np.log(p_SV / m_SV)).sum(axis=1) + (q_SV * np.log(q_SV / m_SV)).sum(axis=1)) / 2,
        "centred_l2": np.linalg.norm(apart_SV, axis=1),
        "top1_agreement": (a_SV.argmax(axis=1) == b_SV.argmax(axis=1)).astype(float),
    }


def passes_of(
    pair: Any, examples: list[Example], *, most: int = 1000, route: Any = "auto"
) -> list[TargetPass]:
    return lay_out(pair.model, examples, pad_id=pair.pad_id, most=most, route=route)


def compared(pair: Any, examples: list[Example], **layout: Any) -> Any:
    """Base against adapter."""
    passes = passes_of(pair, examples, **layout)
    return compare_positions(side_of(pair, "base"), side_of(pair, "adapter"), passes, most=7)


def logits_of(pair: Any, which: Any, examples: list[Example]) -> np.ndarray:
    """All logits of one side, pass by pass."""
    passes = passes_of(pair, examples)
    return np.concatenate([side_of(pair, which)(one)(0, len(one.example_S)) for one in passes])


def by_position(found: Any, name: str) -> np.ndarray:
    """Values in the order of examples and places, which compare_positions leaves open."""
    return found.values[name][np.lexsort((found.place_S, found.owner_S))]


@pytest.mark.parametrize("route", ["auto", "padded"])
def test_every_divergence_equals_its_textbook_formula_on_plain_transformers_and_peft(
    base: Path, pair_of: Any, route: str
) -> None:
    pair = pair_of(base)
    vocab_size = pair.model.config.vocab_size
    examples = examples_of(vocab_size)
    expected = oracle(plain_logits(base, None, examples), plain_logits(base, pair.adapter, examples))
    found = compared(pair, examples, route=route)
    assert {one.row is None for one in passes_of(pair, examples, route=route)} == {route == "padded"}
    assert len(found.owner_S) == 3 + 6 + 9 + 12 + 15
    for name in MEASURES:
        # Logits below 1 in float32 err by some 2^-24 = 6e-8. A KL moves by that times |log p - log q| < 0.1;
        # the L2 sums 320 squares of it: 6e-8 * sqrt(320) = 1e-6. Ten of each for the sums over 2 layers.
        tolerance = 1e-5 if name == "centred_l2" else 6e-8
        np.testing.assert_allclose(by_position(found, name), expected[name], rtol=1e-4, atol=tolerance)
    assert expected["kl_base_adapter"].mean() > 1e-5  # the adapter is there: ten times what is tolerated


def test_kl_is_finite_where_the_classic_half_precision_formula_is_nan() -> None:
    # exp(-40) = 4e-18 is 0 in float16, its logarithm -inf, and 0 * (-inf - x) is NaN: the classic "kl: nan".
    a_SV = np.array([[40.0, 0.0, 0.0]], dtype=np.float32)
    b_SV = np.array([[0.0, 40.0, 0.0]], dtype=np.float32)
    with np.errstate(all="ignore"):
        half_p = np.exp(a_SV.astype(np.float16) - 40)
        half_q = np.exp(b_SV.astype(np.float16) - 40)
        assert np.isnan((half_p * (np.log(half_p) - np.log(half_q))).sum())
    example = Example(example_id="e", input_ids=np.array([1, 2]), labels=np.array([IGNORE, 2]))
    one = TargetPass(example_S=np.zeros(1, int), place_S=np.zeros(1, int), examples={0: example}, row=None)
    found = compare_positions(lambda _: lambda *_: a_SV, lambda _: lambda *_: b_SV, [one], most=1)
    # All weight of a is on token 0, where b says -40: KL = 40 but for e^-40.
    assert found.values["kl_base_adapter"] == pytest.approx([40.0], rel=1e-6)
    assert found.values["js"] == pytest.approx([np.log(2)], rel=1e-6)
    with pytest.raises(UndefinedMetric, match="half precision never reaches a metric"):
        kl_divergence(a_SV.astype(np.float16), b_SV.astype(np.float16))


def test_logits_of_a_bf16_model_reach_the_measures_in_float32(alpaca_base: Path, pair_of: Any) -> None:
    pair = pair_of(alpaca_base, precision="bf16")
    assert next(pair.model.base_model.model.transformer.parameters()).dtype == torch.bfloat16
    assert logits_of(pair, "base", examples_of(300)).dtype == np.float32


def test_logits_that_are_not_finite_are_named_before_a_divergence_is_taken(
    alpaca_base: Path, pair_of: Any
) -> None:
    pair = pair_of(alpaca_base)
    next(p for n, p in pair.model.named_parameters() if "lora_B" in n).data.fill_(torch.inf)
    with pytest.raises(NumericsError, match="logits of the adapter are not finite"):
        logits_of(pair, "adapter", examples_of(300))


def test_a_budget_of_bytes_is_a_number_of_positions() -> None:
    assert positions_within(4 * 300 * 7 + 5, 300) == 7
    assert positions_within(1, 300) == 1


@pytest.mark.parametrize("route", ["auto", "padded"])
def test_a_small_budget_gives_the_same_divergences_and_no_array_exceeds_it(
    base: Path, pair_of: Any, route: str
) -> None:
    pair = pair_of(base)
    examples = examples_of(pair.model.config.vocab_size)
    sizes = []

    def watched(side: Any) -> Any:
        def run(one: TargetPass) -> Any:
            if one.row is None:  # the padded path makes all of a pass
                columns = set().union(
                    *(np.flatnonzero(part.labels[1:] != IGNORE) for part in one.examples.values())
                )
                sizes.append(len(one.examples) * len(columns))
            logits = side(one)

            def found(start: int, stop: int) -> np.ndarray:
                sizes.append(stop - start)
                block: np.ndarray = logits(start, stop)
                return block

            return found

        return run

    whole = compare_positions(
        side_of(pair, "base"), side_of(pair, "adapter"), passes_of(pair, examples, route=route), most=1000
    )
    done: list[int] = []
    cut = compare_positions(
        watched(side_of(pair, "base")),
        watched(side_of(pair, "adapter")),
        passes_of(pair, examples, most=7, route=route),  # 7 positions: examples of 9, 12 and 15 are cut
        most=7,
        advance=done.append,
    )
    assert max(sizes) == 7
    assert sum(done) == len(examples)
    for name in MEASURES:
        tolerance = 1e-5 if name == "centred_l2" else 6e-8  # as above
        np.testing.assert_allclose(
            by_position(cut, name), by_position(whole, name), rtol=1e-4, atol=tolerance
        )


def test_the_last_prompt_position_does_not_see_the_token_behind_it(base: Path, pair_of: Any) -> None:
    pair = pair_of(base)
    prompt = [5, 6, 7, 8]
    logits = [logits_of(pair, "adapter", [last_prompt_position(prompt, "p", after)]) for after in (0, 9)]
    assert np.array_equal(logits[0], logits[1])
    assert logits[0].shape[0] == 1


@pytest.mark.parametrize("route", ["auto", "padded"])
def test_base_and_adapter_with_b_at_zero_are_equal_bit_for_bit(base: Path, pair_of: Any, route: str) -> None:
    pair = pair_of(base, b_std=0)
    found = compared(pair, examples_of(pair.model.config.vocab_size), route=route)
    assert not found.largest_S.any()
    assert not found.values["kl_base_adapter"].any()
    assert found.values["top1_agreement"].all()


def test_the_noise_floor_pads_even_a_single_prompt_on_its_left(base: Path, pair_of: Any) -> None:
    pair = pair_of(base)
    (one,) = passes_of(pair, examples_of(300, count=1))
    plain, again = side_of(pair, "base")(one)(0, 3), base_again(pair)(one)(0, 3)
    # Logits below 1 with 6 layers' worth of float32 sums behind them: some 2^-23 each.
    np.testing.assert_allclose(again, plain, rtol=0, atol=1e-5)
    assert again.shape == plain.shape == (3, pair.model.config.vocab_size)
    np.testing.assert_allclose(base_again(pair)(one)(1, 3), again[1:], rtol=0, atol=1e-5)
    full = Example(example_id="full", input_ids=np.full(512, 5), labels=np.full(512, 5))
    (one,) = passes_of(pair, [full])
    assert base_again(pair)(one)(0, 511).shape[0] == 511  # no row beyond the context
