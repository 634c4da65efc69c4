"""The fast path equals the plain one on every architecture, and steps back where it does not apply."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.lm.passes import TargetLosses, passes, settle
from lorascope.run.dataset import IGNORE, Example

from .small_models import GPT2, PACKED, SMALL, examples, model_of

pytestmark = pytest.mark.end_to_end

PADDED: dict[str, tuple[str, dict[str, Any], str]] = {
    "caps its logits": ("gemma2", SMALL, "final_logit_softcapping"),
    "scales its logits": ("cohere", SMALL, "logit_scale"),
    "attends with sinks": ("gpt_oss", {**SMALL, "num_local_experts": 4}, "s_aux"),
    "keeps a state": (
        "mamba",
        {"hidden_size": 48, "num_hidden_layers": 2, "vocab_size": 120},
        "no attention",
    ),
    "has attention of its own": (
        "bloom",
        {"hidden_size": 48, "n_layer": 2, "n_head": 4, "vocab_size": 120},
        "exchanged",
    ),
}


def sums_and_gradients(model: Any, rows: list[Example], **layout: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Summed nats of each example, and the gradient of all of them, pass by pass."""
    model.zero_grad()
    sums = np.zeros(len(rows))
    for losses in passes(model, rows, pad_id=0, **{"row_tokens": 10_000, **layout}):
        losses.nll_S.sum().backward()  # type: ignore[no-untyped-call]
        np.add.at(sums, losses.example_S.numpy(), losses.nll_S.detach().double().numpy())
    return sums, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def plain_sums_and_gradients(model: Any, rows: list[Example]) -> tuple[np.ndarray, dict[str, Any]]:
    """The oracle: transformers' and PEFT's own forward pass and loss, one unpadded example at a time."""
    model.zero_grad()
    sums = []
    for one in rows:
        ids, labels = (torch.from_numpy(x).unsqueeze(0) for x in (one.input_ids, one.labels))
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits, labels[0, 1:], ignore_index=IGNORE, reduction="sum")
        loss.backward()
        sums.append(float(loss.detach()))
    return np.array(sums), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def worst(gradients: dict[str, Any], truth: dict[str, Any]) -> float:
    """Largest relative difference of a tensor's gradient."""
    assert gradients.keys() == truth.keys()
    return max(float((gradients[n] - truth[n]).norm() / truth[n].norm()) for n in truth)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("row_tokens", [60, 10_000])
def test_packed_rows_give_the_losses_and_gradients_of_plain_transformers_and_peft(
    name: str, share: bool, row_tokens: int
) -> None:
    truth = plain_sums_and_gradients(model_of(*PACKED[name]), rows := examples())
    model = model_of(*PACKED[name])
    sums, gradients = sums_and_gradients(model, rows, share=share, row_tokens=row_tokens)
    assert settle(model, rows, pad_id=0).told.startswith("packed rows")
    np.testing.assert_allclose(sums, truth[0], rtol=1e-5)
    assert worst(gradients, truth[1]) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_padded_path_gives_the_same(name: str) -> None:
    truth = plain_sums_and_gradients(model_of(*PACKED[name]), rows := examples())
    sums, gradients = sums_and_gradients(model_of(*PACKED[name]), rows, route="padded")
    np.testing.assert_allclose(sums, truth[0], rtol=1e-5)
    assert worst(gradients, truth[1]) < 1e-5


@pytest.mark.parametrize("what", PADDED)
def test_a_model_that_cannot_be_packed_is_padded_and_says_why(what: str) -> None:
    kind, config, reason = PADDED[what]
    model, rows = model_of(kind, config), examples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = model.config._attn_implementation
        settled = settle(model, rows, pad_id=0)
    assert settled.packed is None
    assert reason in settled.told
    assert model.config._attn_implementation == before


def test_a_model_whose_packed_losses_differ_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    from lorascope.engine.attention import dense_attention
    from lorascope.lm import packed

    def leaky(query: Any, key: Any, value: Any, plan: Any, *, scale: float) -> Any:
        """Every token sees every one before it in the row, its neighbours' too."""
        plan.mask_TT.copy_(torch.ones_like(plan.mask_TT).tril())
        return dense_attention(query, key, value, plan, scale=scale)

    monkeypatch.setitem(packed.FORMS, "bucketed", leaky)
    settled = settle(model_of(*PACKED["llama"]), examples(), pad_id=0)
    assert settled.packed is None
    assert "nats per token from the padded ones" in settled.told


def test_a_fault_of_the_fused_layers_is_seen_and_they_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from lorascope.lm import fused

    model, rows = model_of(*PACKED["gpt2"]), examples()
    with monkeypatch.context() as patched:
        patched.setattr(fused, "lora_linear", lambda x, weight, *_, **__: x @ weight.T)
        settled = settle(model, rows, pad_id=0)
    assert settled.packed is None
    assert not any("forward" in vars(module) for module in model.modules())


def test_examples_longer_than_the_window_are_padded_and_the_others_packed() -> None:
    model = model_of("mistral", {**SMALL, "sliding_window": 32}, ["q_proj", "v_proj"])
    rows = examples()  # of 20, 25, ..., 45 tokens
    found = list(passes(model, rows, pad_id=0, row_tokens=10_000))
    assert sorted(n for one in found for n in one.examples) == list(range(6))
    assert {n for one in found for n in one.examples if len(one.examples) == 3} == set(range(6))
    truth = plain_sums_and_gradients(
        model_of("mistral", {**SMALL, "sliding_window": 32}, ["q_proj", "v_proj"]), rows
    )
    np.testing.assert_allclose(sums_and_gradients(model, rows)[0], truth[0], rtol=1e-5)


def test_sharing_saves_the_tokens_that_examples_have_in_common() -> None:
    model, rows = model_of(*PACKED["llama"]), examples()
    total = sum(one.num_tokens for one in rows)

    def computed(**layout: Any) -> int:
        return sum(one.num_tokens for one in passes(model, rows, pad_id=0, row_tokens=10_000, **layout))

    assert computed(share=False) == total
    assert computed(share=True) == total - 5 * 12


def test_lora_dropout_shares_nothing_and_is_the_same_for_the_same_seed() -> None:
    model, rows = model_of(*PACKED["gpt2"], dropout=0.3).train(), examples()

    def once(seed: int) -> list[TargetLosses]:
        torch.manual_seed(seed)
        return list(passes(model, rows, pad_id=0, row_tokens=10_000))

    first, again, other = once(1), once(1), once(2)
    assert sum(one.num_tokens for one in first) == sum(one.num_tokens for one in rows)
    assert torch.equal(first[0].nll_S, again[0].nll_S)
    assert not torch.equal(first[0].nll_S, other[0].nll_S)


def test_a_base_with_dropout_of_its_own_is_padded_while_it_trains() -> None:
    model, rows = model_of("gpt2", {**GPT2, "attn_pdrop": 0.2}, ["c_attn"]), examples()
    in_training = list(passes(model.train(), rows, pad_id=0, row_tokens=10_000))
    assert sum(one.num_tokens for one in in_training) == 6 * 45  # padded to the longest
    evaluated = list(passes(model.eval(), rows, pad_id=0, row_tokens=10_000))
    assert sum(one.num_tokens for one in evaluated) < 6 * 45


@pytest.mark.parametrize("variant", ["use_dora", "use_rslora", "lora_bias"])
def test_variants_of_lora_keep_pefts_own_layers_and_the_same_numbers(variant: str) -> None:
    import peft

    def varied() -> Any:
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], **{variant: True})
        torch.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = peft.get_peft_model(model_of("llama", SMALL), config)
        generator = torch.Generator().manual_seed(2)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.1, generator=generator)
        return model

    truth = plain_sums_and_gradients(varied(), rows := examples())
    sums, gradients = sums_and_gradients(varied(), rows)
    np.testing.assert_allclose(sums, truth[0], rtol=1e-5)
    assert worst(gradients, truth[1]) < 1e-5


def test_a_switched_off_or_merged_adapter_is_not_applied() -> None:
    model, rows = model_of(*PACKED["gpt2"]), examples()
    base, _ = plain_sums_and_gradients(model_of(*PACKED["gpt2"][:2]).requires_grad_(True), rows)
    with_adapter = sums_and_gradients(model, rows)[0]
    with model.disable_adapter(), torch.no_grad():
        found = np.zeros(len(rows))
        for losses in passes(model, rows, pad_id=0, row_tokens=10_000):
            np.add.at(found, losses.example_S.numpy(), losses.nll_S.double().numpy())
    np.testing.assert_allclose(found, base, rtol=1e-5)
    assert np.abs(with_adapter - base).min() > 1e-3
    model.merge_adapter()
    with torch.no_grad():
        merged = np.zeros(len(rows))
        for losses in passes(model, rows, pad_id=0, row_tokens=10_000):
            np.add.at(merged, losses.example_S.numpy(), losses.nll_S.double().numpy())
    np.testing.assert_allclose(merged, with_adapter, rtol=1e-4)


def test_a_deep_copy_runs_its_own_weights() -> None:
    import copy

    model, rows = model_of(*PACKED["llama"]), examples()
    before = sums_and_gradients(model, rows)[0]
    twin = copy.deepcopy(model)
    for name, parameter in twin.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    assert np.abs(sums_and_gradients(twin, rows)[0] - before).min() > 1e-3
    np.testing.assert_array_equal(sums_and_gradients(model, rows)[0], before)


def test_padded_calls_and_generation_are_as_before() -> None:
    plain, model, rows = model_of(*PACKED["llama"]), model_of(*PACKED["llama"]), examples()
    settle(model, rows, pad_id=0)
    ids = torch.tensor([[0, 0, 5, 6, 7], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    with torch.no_grad():
        own, other = (one(input_ids=ids, attention_mask=mask).logits for one in (model, plain))
        torch.testing.assert_close(own[1], other[1], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(own[0, 2:], other[0, 2:], rtol=1e-5, atol=1e-5)
        answers = [
            one.generate(input_ids=ids, attention_mask=mask, max_new_tokens=5, do_sample=False)
            for one in (model, plain)
        ]
    assert torch.equal(*answers)
