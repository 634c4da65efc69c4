"""Free answers to validation prompts, matched against their references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lorascope.errors import UndefinedMetric
from lorascope.lm.base_results import BaseResults, answer_base
from lorascope.lm.generate import Answer, Decoding, generate
from lorascope.lm.pair import Pair
from lorascope.lm.template import Template
from lorascope.metrics.text_match import exact_match, token_f1
from lorascope.metrics.uncertainty import Interval, mean_interval, proportion_interval
from lorascope.run.texts import ExampleText


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """An answer beside its reference.

    Attributes:
        example_id: Of the example.
        answer: What the model said.
        reference: What the data says.
        exact: Whether they are the same after normalisation.
        f1: Overlap of their words, 0 to 1.
    """

    example_id: str
    answer: Answer
    reference: str
    exact: bool
    f1: float


def answer_freely(
    pair: Pair,
    template: Template,
    texts: Sequence[ExampleText],
    decoding: Decoding,
    *,
    kept: BaseResults | None,
    batch_size: int,
    advance: Callable[[int], None],
) -> list[Matched]:
    """Answer the last turn of each example and compare with its reference.

    Args:
        pair: Base model, with or without an adapter.
        template: The run's.
        texts: The examples.
        decoding: How to decode.
        kept: Where answers of the base lie, for the base to answer; None asks the adapter.
        batch_size: Prompts decoded together.
        advance: Told how many were just answered.
    """
    prompts = [template.encode_prompt(text.messages[:-1], text.tools) for text in texts]
    layout: Any = {"stop_ids": template.stop_ids, "batch_size": batch_size, "advance": advance}
    if kept is None:
        answers = generate(pair.model, pair.tokenizer, prompts, decoding, **layout)
    else:
        answers = answer_base(kept, pair, prompts, decoding, **layout)
    matched = []
    for text, answer in zip(texts, answers, strict=True):
        reference = text.messages[-1].content
        matched.append(
            Matched(
                example_id=text.example_id,
                answer=answer,
                reference=reference,
                exact=exact_match(answer.text, reference),
                f1=token_f1(answer.text, reference),
            )
        )
    return matched


def answer_measures(
    matched: Sequence[Matched], decoding: Decoding, groups_by_column: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Exact match, token F1 and the share that ended by a stop token, with intervals, also by group.

    Args:
        matched: Answers beside their references, at least one.
        decoding: How they were decoded.
        groups_by_column: For each column to break down by, each example's value there, by example id.
    """
    return {
        "decoding": decoding.name,
        "max_new_tokens": decoding.max_new_tokens,
        **_rates(matched),
        "by_group": {
            column: {value: _rates(part) for value, part in _parts(matched, group_of).items()}
            for column, group_of in groups_by_column.items()
        },
    }


def _parts(matched: Sequence[Matched], group_of: Mapping[str, str]) -> dict[str, list[Matched]]:
    parts: dict[str, list[Matched]] = {}
    for one in matched:
        parts.setdefault(group_of[one.example_id], []).append(one)
    return dict(sorted(parts.items()))


def _rates(matched: Sequence[Matched]) -> dict[str, Any]:
    num = len(matched)
    why: dict[str, str] = {}
    f1_N = [one.f1 for one in matched]
    try:
        f1 = mean_interval(f1_N, bounds=(0.0, 1.0)).as_dict()
    except UndefinedMetric as error:  # a single answer has a score and no interval
        f1 = {**dict.fromkeys(field.name for field in fields(Interval)), "estimate": f1_N[0], "num": 1}
        why["token_f1_interval"] = error.message
    return {
        "num_examples": num,
        "exact_match": proportion_interval(sum(one.exact for one in matched), num).as_dict(),
        "token_f1": f1,
        "stopped": proportion_interval(sum(one.answer.stopped for one in matched), num).as_dict(),
        "empty": sum(not one.answer.text.strip() for one in matched),
        "why": why,
    }
