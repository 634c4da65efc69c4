"""Prompts -> what base and adapter answer, greedily and by seeded sampling."""

from collections.abc import Callable, Sequence
from typing import Any

from lorascope.compare.prompts import Prompt
from lorascope.errors import DataError, explain
from lorascope.lm.base_results import BaseResults, answer_base
from lorascope.lm.generate import Answer, Decoding, generate
from lorascope.lm.pair import Pair

_BATCH_SIZE = 8


def refuse_too_long(prompts: Sequence[Prompt], context: int | None) -> None:
    """Insist that every prompt leaves room for one token at least.

    Raises:
        DataError: One is as long as the model's context.
    """
    for prompt in prompts:
        if context is not None and len(prompt.input_ids) >= context:
            raise DataError(
                explain(
                    f"the prompt {prompt.prompt_id} has {len(prompt.input_ids):,} tokens",
                    where=prompt.source,
                    why=f"the base model reads {context:,} tokens at once, and an answer needs room",
                    fix="shorten the prompt",
                )
            )


def answer_all(
    pair: Pair,
    prompts: Sequence[Prompt],
    decodings: Sequence[Decoding],
    *,
    stop_ids: Sequence[int],
    context: int | None,
    kept: BaseResults | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> list[dict[str, Any]]:
    """Let base and adapter answer the same prompts with the same decoding and seed.

    Args:
        pair: Both.
        prompts: What to answer; each leaves room for an answer.
        decodings: Greedy and sampled.
        stop_ids: Tokens that end an answer.
        context: Tokens the model reads at once; a prompt with less room than max_new_tokens gets what
            there is.
        kept: Where answers of the base lie; None computes them.
        advance: Told how many answers were just given.

    Returns:
        One JSON object per prompt and decoding: the lines of compare/generations.jsonl.
    """
    rows: list[dict[str, Any]] = []
    kept = kept or BaseResults()
    layout: Any = {"stop_ids": stop_ids, "batch_size": _BATCH_SIZE, "advance": advance}

    def of_base(ids: list[list[int]], decoding: Decoding) -> list[Answer]:
        return answer_base(kept, pair, ids, decoding, **layout)

    def of_adapter(ids: list[list[int]], decoding: Decoding) -> list[Answer]:
        return generate(pair.model, pair.tokenizer, ids, decoding, **layout)

    for decoding in decodings:
        bases = _answers(of_base, prompts, decoding, context)
        adapters = _answers(of_adapter, prompts, decoding, context)
        for prompt, base, adapter in zip(prompts, bases, adapters, strict=True):
            rows.append(
                {
                    "prompt_id": prompt.prompt_id,
                    "source": prompt.source,
                    "prompt": prompt.text,
                    "prompt_tokens": len(prompt.input_ids),
                    "decoding": decoding.name,
                    "max_new_tokens": _room(prompt, decoding, context),
                    "base": _as_json(base),
                    "adapter": _as_json(adapter),
                    "same": base.token_ids == adapter.token_ids and base.stopped == adapter.stopped,
                    "reference": prompt.reference,
                }
            )
    return rows


def _answers(
    ask: Callable[[list[list[int]], Decoding], list[Answer]],
    prompts: Sequence[Prompt],
    decoding: Decoding,
    context: int | None,
) -> list[Answer]:
    """Answer the prompts of equal room together, so that a long one shortens no other's answer."""
    answers: list[Answer | None] = [None] * len(prompts)
    rooms = [_room(prompt, decoding, context) for prompt in prompts]
    for room in dict.fromkeys(rooms):
        mine = [index for index, one in enumerate(rooms) if one == room]
        limited = Decoding(
            max_new_tokens=room,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            seed=decoding.seed,
        )
        ids = [list(prompts[index].input_ids) for index in mine]
        for index, answer in zip(mine, ask(ids, limited), strict=True):
            answers[index] = answer
    return [answer for answer in answers if answer is not None]


def _room(prompt: Prompt, decoding: Decoding, context: int | None) -> int:
    left = decoding.max_new_tokens if context is None else context - len(prompt.input_ids)
    return min(decoding.max_new_tokens, left)


def _as_json(answer: Answer) -> dict[str, Any]:
    return {"text": answer.text, "num_tokens": len(answer.token_ids), "stopped": answer.stopped}


def answer_facts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By decoding: prompts, answers that are the same, mean length and share stopped of each model."""
    facts = []
    for decoding in dict.fromkeys(row["decoding"] for row in rows):
        mine = [row for row in rows if row["decoding"] == decoding]
        facts.append(
            {
                "decoding": decoding,
                "num_prompts": len(mine),
                "num_same": sum(row["same"] for row in mine),
                "num_with_less_room": sum(
                    row["max_new_tokens"] < max(one["max_new_tokens"] for one in mine) for row in mine
                ),
                **{
                    which: {
                        "mean_tokens": sum(row[which]["num_tokens"] for row in mine) / len(mine),
                        "stopped": sum(row[which]["stopped"] for row in mine),
                        "empty": sum(not row[which]["text"].strip() for row in mine),
                    }
                    for which in ("base", "adapter")
                },
            }
        )
    return facts
