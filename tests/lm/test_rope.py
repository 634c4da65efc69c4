"""Models whose rotary positions depend on the longest text of a pass run each example alone."""

from typing import Any

import numpy as np
import pytest
import torch

from lorascope.lm.generate import Decoding, generate
from lorascope.lm.passes import how_it_runs, passes
from lorascope.lm.rope import rope_by_length
from lorascope.lm.target_logits import lay_out
from lorascope.run.dataset import IGNORE, Example

from .small_models import SMALL, model_of

LENGTHS = (30, 40, 35, 50, 120)
ORIGINAL = 80  # the last example is longer: in one pass it would turn the positions of all others


def longrope() -> Any:
    config = {
        **SMALL,
        "hidden_size": 64,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "original_max_position_embeddings": ORIGINAL,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 8,
            "long_factor": [1.0 + 3 * number for number in range(8)],
            "original_max_position_embeddings": ORIGINAL,
        },
    }
    return model_of("phi3", config, ["qkv_proj", "down_proj"])


def examples() -> list[Example]:
    draw, made = np.random.default_rng(0), []
    for number, length in enumerate(LENGTHS):
        ids = draw.integers(1, SMALL["vocab_size"], length)
        labels = ids.copy()
        labels[: length // 2] = IGNORE
        made.append(Example(example_id=str(number), input_ids=ids, labels=labels))
    return made


def alone(model: Any, rows: list[Example]) -> tuple[float, torch.Tensor]:
    """The oracle: transformers and PEFT, an example at a time."""
    model.zero_grad()
    total, targets = 0.0, sum(one.num_target_tokens for one in rows)
    for one in rows:
        ids, labels = torch.from_numpy(one.input_ids)[None], torch.from_numpy(one.labels)[None]
        logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        nll = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), reduction="sum")
        (nll / targets).backward()
        total += float(nll.detach())
    return total / targets, gradient(model)


def gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("route", ["auto", "padded"])
@pytest.mark.parametrize("row_tokens", [1, 1024])
def test_loss_and_gradient_are_those_of_each_example_alone(route: Any, row_tokens: int) -> None:
    model, rows = longrope().train(), examples()
    wanted, gradient_wanted = alone(model, rows)
    model.zero_grad()
    total, targets = 0.0, sum(one.num_target_tokens for one in rows)
    for losses in passes(model, rows, pad_id=0, row_tokens=row_tokens, route=route):
        (losses.nll_S.sum() / targets).backward()
        total += float(losses.nll_S.detach().double().sum())
    assert total / targets == pytest.approx(wanted, rel=1e-6)
    assert float((gradient(model) - gradient_wanted).norm() / gradient_wanted.norm()) < 1e-5


def test_the_engine_says_so() -> None:
    model = longrope().eval()
    list(passes(model, examples(), pad_id=0, row_tokens=1024))
    assert rope_by_length(model) == "longrope"
    assert how_it_runs(model).startswith("each example alone") and "longrope" in how_it_runs(model)


def test_logits_are_computed_one_example_a_pass() -> None:
    found = lay_out(longrope().eval(), examples(), pad_id=0, most=4096)
    assert len(found) == len(LENGTHS)


def test_ordinary_positions_depend_on_nothing(alpaca_tokenizer: Any, chat_base: Any) -> None:
    from transformers import AutoModelForCausalLM

    assert rope_by_length(AutoModelForCausalLM.from_pretrained(chat_base)) is None


def test_answers_are_those_of_each_prompt_alone(alpaca_tokenizer: Any) -> None:
    model, prompts = longrope().eval(), [one.input_ids.tolist() for one in examples()]
    stop = SMALL["vocab_size"] - 1
    answers = generate(model, alpaca_tokenizer, prompts, Decoding(max_new_tokens=6), stop_ids=[stop])
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt])
        for _ in range(6):  # the oracle: greedy, without a cache
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
        written = [*ids[0, len(prompt) :].tolist(), stop]
        assert list(answer.token_ids) == written[: written.index(stop)]
