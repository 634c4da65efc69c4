"""Prompts -> answers. Decoding settings are ours alone: a model's own generation defaults never leak in."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lorascope.lm.batches import pad_id_of
from lorascope.lm.load import context_length
from lorascope.lm.rope import rope_by_length


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
            A prompt that leaves too little of the context for a longest answer is decoded alone, and so is
            every prompt of a model whose rotary positions depend on the longest text of a batch.
        advance: Told how many prompts were just answered.

    Returns:
        One answer per prompt, in order. Sampling is seeded per batch, so the same call gives the same
        answers.
    """
    context = context_length(model.config)
    room = [math.inf if context is None else context - len(prompt) for prompt in prompts]
    answers: list[Answer | None] = [None] * len(prompts)
    if rope_by_length(model) is not None:
        batch_size = 1
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with _without_own_settings(model):
            for number, group in enumerate(_groups(prompts, room, decoding.max_new_tokens, batch_size)):
                longest = int(min(decoding.max_new_tokens, *(room[index] for index in group)))
                if longest > 0:
                    ids, mask = _left_padded([prompts[index] for index in group], pad_id_of(tokenizer))
                    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                        torch.manual_seed(decoding.seed * 1_000_003 + number)
                        out = model.generate(
                            input_ids=ids.to(device),
                            attention_mask=mask.to(device),
                            generation_config=_settings(decoding, stop_ids, tokenizer, longest),
                        )
                    written = out[:, ids.shape[1] :].tolist()
                else:
                    written = [[] for _ in group]
                for index, row in zip(group, written, strict=True):
                    answers[index] = _answer(row, tokenizer, stop_ids)
                advance(len(group))
    finally:
        model.train(was_training)
    return [answer for answer in answers if answer is not None]


def _settings(decoding: Decoding, stop_ids: Sequence[int], tokenizer: Any, longest: int) -> Any:
    from transformers import GenerationConfig

    sampling = decoding.temperature is not None
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=longest,
        do_sample=sampling,
        num_beams=1,
        eos_token_id=list(stop_ids),
        pad_token_id=pad_id_of(tokenizer),
        use_cache=True,
        **({"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0} if sampling else {}),
    )


@contextlib.contextmanager
def _without_own_settings(model: Any) -> Iterator[None]:
    """Hide a model's own generation settings: generate() takes from them whatever a config leaves unset.

    Qwen's carry a repetition penalty, for example, which would change greedy answers without a word.
    """
    from transformers import GenerationConfig

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = inner.generation_config
    inner.generation_config = model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if inner is not model:  # PEFT reads its own attribute first, else the inner model's
            del model.generation_config
        inner.generation_config = before


def _groups(
    prompts: Sequence[Sequence[int]], room: Sequence[float], max_new_tokens: int, batch_size: int
) -> list[list[int]]:
    """Prompts to decode together, longest first; one whose room is short stays alone, lest it cut others."""
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    alone = [[index] for index in order if room[index] < max_new_tokens]
    shared = [index for index in order if room[index] >= max_new_tokens]
    return alone + [shared[start : start + batch_size] for start in range(0, len(shared), batch_size)]


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
