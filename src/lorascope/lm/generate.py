"""Prompts -> answers. Decoding settings are ours alone: a model's own generation defaults never leak in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lorascope.lm.batches import pad_id_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How answers are decoded.

    Attributes:
        max_new_tokens: Longest answer.
        temperature: None decodes greedily: always the most likely token.
        top_p: Nucleus of sampling.
        seed: Of sampling.
    """

    max_new_tokens: int
    temperature: float | None = None
    top_p: float = 1.0
    seed: int = 0

    @property
    def name(self) -> str:
        """As in "greedy" or "sampled at 0.8, seed 0"."""
        if self.temperature is None:
            return "greedy"
        return f"sampled at temperature {self.temperature:g}, top-p {self.top_p:g}, seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One generated answer.

    Attributes:
        text: Without the stop token.
        token_ids: Without the stop token.
        stopped: Whether it ended by a stop token, not by length.
    """

    text: str
    token_ids: tuple[int, ...]
    stopped: bool


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    stop_ids: Sequence[int],
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> list[Answer]:
    """Answer prompts.

    Args:
        model: A causal language model, with or without an adapter.
        tokenizer: For padding and decoding.
        prompts: Token ids of each, from `Template.encode_prompt`.
        decoding: How.
        stop_ids: Tokens that end an answer, from `Template.stop_ids`.
        batch_size: Prompts decoded together; greedy answers do not depend on it but for rounding.
        advance: Told how many prompts were just answered.

    Returns:
        One answer per prompt, in order. Sampling is seeded per batch, so the same call gives the same
        answers.
    """
    from transformers import GenerationConfig

    sampling = decoding.temperature is not None
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=decoding.max_new_tokens,
        do_sample=sampling,
        num_beams=1,
        eos_token_id=list(stop_ids),
        pad_token_id=pad_id_of(tokenizer),
        use_cache=True,
        **({"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0} if sampling else {}),
    )
    answers: list[Answer | None] = [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            group = order[start : start + batch_size]
            ids, mask = _left_padded([prompts[index] for index in group], pad_id_of(tokenizer))
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(decoding.seed * 1_000_003 + start)
                out = model.generate(
                    input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config
                )
            for index, row in zip(group, out[:, ids.shape[1] :].tolist(), strict=True):
                answers[index] = _answer(row, tokenizer, stop_ids)
            advance(len(group))
    finally:
        model.train(was_training)
    return [answer for answer in answers if answer is not None]


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    return ids, mask


def _answer(row: list[int], tokenizer: Any, stop_ids: Sequence[int]) -> Answer:
    end = next((place for place, token in enumerate(row) if token in stop_ids), math.inf)
    own = row if end is math.inf else row[: int(end)]
    return Answer(text=tokenizer.decode(own), token_ids=tuple(own), stopped=end is not math.inf)
