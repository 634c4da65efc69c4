"""Answers: greedy decoding against a loop that takes the likeliest token, and whose settings decide."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.lm.adapter import attach_adapter
from lorascope.lm.generate import Decoding, generate
from lorascope.lm.load import load_base, load_tokenizer

PROMPTS = [[5, 9, 23], [7], [41, 3, 88, 120, 4, 9, 11], [200, 201]]


@pytest.fixture(scope="module")
def model(gpt2_folder: Path) -> Any:
    return load_base(str(gpt2_folder))


@pytest.fixture(scope="module")
def tokenizer(gpt2_folder: Path) -> Any:
    return load_tokenizer(str(gpt2_folder))


@torch.no_grad()
def plain_greedy(model: Any, prompt: list[int], *, most: int, stop_ids: list[int]) -> tuple[list[int], bool]:
    """The oracle: the likeliest next token, one at a time, without cache, padding or batch."""
    ids = list(prompt)
    for _ in range(most):
        token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in stop_ids:
            return ids[len(prompt) :], True
        ids.append(token)
    return ids[len(prompt) :], False


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_greedy_answers_are_the_likeliest_tokens_in_any_batch(
    model: Any, tokenizer: Any, batch_size: int
) -> None:
    expected = [plain_greedy(model, prompt, most=12, stop_ids=[0]) for prompt in PROMPTS]
    answers = generate(
        model, tokenizer, PROMPTS, Decoding(max_new_tokens=12), stop_ids=[0], batch_size=batch_size
    )
    assert [(list(one.token_ids), one.stopped) for one in answers] == expected


def test_an_answer_ends_before_its_stop_token(model: Any, tokenizer: Any) -> None:
    free, _ = plain_greedy(model, PROMPTS[0], most=12, stop_ids=[])
    stop = free[4]
    expected = free[: free.index(stop)]
    (answer,) = generate(model, tokenizer, PROMPTS[:1], Decoding(max_new_tokens=12), stop_ids=[stop])
    assert (list(answer.token_ids), answer.stopped) == (expected, True)
    assert answer.text == tokenizer.decode(expected)


def test_a_models_own_generation_settings_never_leak_in(model: Any, tokenizer: Any) -> None:
    # transformers takes what a config leaves unset from the model's own; Qwen's has a repetition penalty.
    expected = [plain_greedy(model, prompt, most=12, stop_ids=[0])[0] for prompt in PROMPTS]
    own = model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size, own.min_new_tokens = 5.0, 2, 12
    try:
        answers = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=12), stop_ids=[0])
        assert model.generation_config is own
    finally:
        own.repetition_penalty, own.no_repeat_ngram_size, own.min_new_tokens = None, None, None
    assert [list(one.token_ids) for one in answers] == expected


def test_they_do_not_leak_in_through_an_adapter_either(gpt2_folder: Path, tokenizer: Any) -> None:
    base = load_base(str(gpt2_folder))
    expected = [plain_greedy(base, prompt, most=12, stop_ids=[0])[0] for prompt in PROMPTS]
    base.generation_config.repetition_penalty = 5.0
    model = attach_adapter(base, rank=2, alpha=2, dropout=0.0, target_modules=["c_attn"], seed=0)
    answers = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=12), stop_ids=[0])
    assert [list(one.token_ids) for one in answers] == expected
    assert model.generation_config.repetition_penalty == 5.0


def test_sampling_repeats_by_its_seed_and_leaves_the_random_state_alone(model: Any, tokenizer: Any) -> None:
    def sample(seed: int) -> list[tuple[int, ...]]:
        decoding = Decoding(max_new_tokens=10, temperature=1.0, seed=seed)
        return [one.token_ids for one in generate(model, tokenizer, PROMPTS, decoding, stop_ids=[0])]

    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    first = sample(0)
    assert torch.equal(torch.rand(2), expected)
    assert first == sample(0)
    assert first != sample(1)


def test_an_answer_ends_with_the_context_and_shortens_no_other(model: Any, tokenizer: Any) -> None:
    # The context is 64 tokens: 60 leave room for 4 more, 64 for none, and the short prompt keeps its 12.
    prompts = [list(range(1, 61)), list(range(1, 65)), [7]]
    answers = generate(model, tokenizer, prompts, Decoding(max_new_tokens=12), stop_ids=[0], batch_size=3)
    for prompt, answer, most in zip(prompts, answers, (4, 0, 12), strict=True):
        assert list(answer.token_ids) == plain_greedy(model, prompt, most=most, stop_ids=[0])[0]
    assert not answers[1].stopped


def test_the_mode_of_the_model_is_given_back(model: Any, tokenizer: Any) -> None:
    model.train()
    generate(model, tokenizer, PROMPTS[:1], Decoding(max_new_tokens=2), stop_ids=[0])
    assert model.training
    model.eval()


def test_a_decoding_says_what_it_is() -> None:
    assert Decoding(max_new_tokens=1).name == "greedy"
    sampled = Decoding(max_new_tokens=1, temperature=0.8, top_p=0.95, seed=3)
    assert sampled.name == "sampled at temperature 0.8, top-p 0.95, seed 3"
