"""Does the base write without repeating itself: seq-rep-4 over sampled continuations of unseen documents."""

from typing import Any

import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast


def seq_rep_4(ids: list[int]) -> float:
    """Share of 4-grams that occurred before.

        seq-rep-4 = 1 - unique 4-grams / 4-grams

    Args:
        ids: The token ids of one continuation.

    Returns:
        In [0, 1]; 0 for fewer than four tokens, which cannot repeat a 4-gram.

    Source:
        Welleck et al. 2019, "Neural text generation with unlikelihood training", arXiv:1908.04319.
    """
    grams = [tuple(ids[index : index + 4]) for index in range(len(ids) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


@torch.no_grad()
def sampled_continuations(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    *,
    seed: int,
    prompt_tokens: int = 16,
    new_tokens: int = 128,
) -> list[list[int]]:
    """Sample at temperature 1, nothing cut off, until end-of-text; one continuation per text."""
    torch.manual_seed(seed)
    generator: Any = model  # transformers types `generate` for its own mixin only
    found = []
    for text in texts:
        prompt = torch.tensor([tokenizer(text)["input_ids"][:prompt_tokens]])
        ids = generator.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=new_tokens,
            pad_token_id=tokenizer.eos_token_id,
        )[0, prompt.shape[1] :].tolist()
        found.append(ids[: ids.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ids else ids)
    return found


def fluency(continuations: list[list[int]]) -> dict[str, float]:
    """Mean seq-rep-4, how many were measured, and their mean length in tokens."""
    count = len(continuations)
    return {
        "seq_rep_4": round(sum(map(seq_rep_4, continuations)) / count, 4),
        "num_continuations": count,
        "mean_tokens": round(sum(map(len, continuations)) / count, 1),
    }
