"""Checks on the tokens themselves: they exist in the base, and a text begins once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lorascope.check.findings import CheckResult, not_made, result
from lorascope.check.labels import each, failure
from lorascope.check.notices import Notice, notice
from lorascope.lm.template import Template
from lorascope.run.dataset import Example

_BOS = "the beginning-of-text token stands once"
_IDS = "every token has an embedding in the base"
_Splits = Mapping[str, Sequence[Example]]


def bos_once(splits: _Splits, bos_id: int | None) -> CheckResult:
    """No row begins with two beginning-of-text tokens: the template's and the tokenizer's."""
    if bos_id is None:
        return not_made("bos", _BOS, "the tokenizer has no beginning-of-text token")
    failures = [
        failure(example, split, "two beginning-of-text tokens at its start")
        for split, example in each(splits)
        if example.num_tokens > 1 and example.input_ids[0] == example.input_ids[1] == bos_id
    ]
    num = sum(len(examples) for examples in splits.values())
    fix = "tokenise with add_special_tokens=False where the template writes the token itself"
    return result("bos", _BOS, failures, num, fix=fix)


def ids_are_known(splits: _Splits, num_rows: int | None) -> CheckResult:
    """No token id lies beyond the base's vocabulary."""
    if num_rows is None:
        return not_made("vocabulary", _IDS, "the base's config names no vocabulary size")
    failures = []
    for split, example in each(splits):
        highest = int(example.input_ids.max(initial=0))
        if highest >= num_rows or int(example.input_ids.min(initial=0)) < 0:
            failures.append(failure(example, split, f"token {highest} of {num_rows:,}"))
    num = sum(len(examples) for examples in splits.values())
    fix = "tokenise with the base's own tokenizer: these ids are another's"
    return result("vocabulary", _IDS, failures, num, fix=fix)


def known_ids_decoder(tokenizer: Any, *, skip_special: bool = False) -> Callable[[Iterable[Any]], str]:
    """Decode ids to text without those that the tokenizer does not have: they are another check's affair."""
    size = len(tokenizer)

    def decode(ids: Iterable[Any]) -> str:
        known = [int(one) for one in ids if 0 <= int(one) < size]
        text: str = tokenizer.decode(known, skip_special_tokens=skip_special)
        return text

    return decode


def packed_rows(splits: _Splits, eos_id: int | None) -> Notice | None:
    """Rows of a dataset made elsewhere that hold several texts; whether they see each other is not known."""
    if eos_id is None:
        return None
    rows = []
    for split, example in each(splits):
        ends = np.flatnonzero(example.input_ids[:-1] == eos_id)
        inside = ends[(ends > 0) & (example.input_ids[ends + 1] != eos_id)]
        if len(inside):
            rows.append(
                failure(example, split, f"{len(inside) + 1} texts, the first ends at token {inside[0]}")
            )
    if not rows:
        return None
    return notice(
        "packed",
        "warn",
        f"{len(rows):,} rows go on after their end-of-text token: several texts in one row?",
        rows,
        fix="packed texts must not attend to each other; if these are turns of one chat, all is well",
    )


def other_template(splits: _Splits, tokenizer: Any, template: Template | None) -> Notice | None:
    """Rows that are not worded as the tokenizer's own chat template would: as a server will word prompts."""
    own = getattr(tokenizer, "chat_template", None)
    if not own or (template is not None and template.chat_template == own):
        return None
    if template is None:
        opening = opening_of(tokenizer, stripped=True)
        rows = [
            failure(example, split, "the chat template's opening of an answer is not in it")
            for split, example in each(splits)
            if opening and not places_of(example.input_ids, opening)
        ]
        if not rows:
            return None
    else:
        rows = [failure(example, split, f"template {template.name}") for split, example in each(splits)]
    return notice(
        "other_template",
        "warn",
        f"{len(rows):,} rows are not worded by the tokenizer's chat template, which chat servers use",
        rows,
        fix="train with prepare.template: chat, or have the server use this template",
    )


def opening_of(tokenizer: Any, *, stripped: bool = False) -> list[int]:
    """What the chat template writes before an answer, in tokens; empty where it cannot be told.

    Args:
        tokenizer: With a chat template or without.
        stripped: Without the white space around it, which may be one token with what follows.
    """
    asked = [{"role": "user", "content": "a"}]
    try:
        with_, without = (
            tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=one)
            for one in (True, False)
        )
    except Exception:  # a template may refuse in any way it likes
        return []
    opening = with_[len(without) :] if with_.startswith(without) else ""
    opening = opening.strip() if stripped else opening
    return list(tokenizer(opening, add_special_tokens=False)["input_ids"]) if opening else []


def places_of(ids: np.ndarray, wanted: Sequence[int]) -> list[int]:
    """Where a sequence of tokens stands in a row."""
    starts = np.flatnonzero(ids[: max(0, len(ids) - len(wanted) + 1)] == wanted[0])
    return [int(at) for at in starts if ids[at : at + len(wanted)].tolist() == list(wanted)]
