"""A dataset made elsewhere: what its tokens say, and where its answers stand by the chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lorascope.check.labels import Failure, each, failure
from lorascope.check.notices import Notice, notice
from lorascope.check.tokens import known_ids_decoder, opening_of, places_of
from lorascope.metrics.words import normalised
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.message import Message
from lorascope.run.texts import ExampleText

_Splits = Mapping[str, Sequence[Example]]


def texts_of_tokens(splits: _Splits, tokenizer: Any) -> dict[str, ExampleText]:
    """Read examples back from their tokens: what stands before the first target is asked, targets answered.

    Returns:
        By split and id; special tokens are left out. Held-out ones say whether training has their prompt, or
        all of them, case, spaces and Unicode form aside.
    """
    found = {}
    decode = known_ids_decoder(tokenizer, skip_special=True)
    for split, example in each(splits):
        targets = np.flatnonzero(example.labels != IGNORE)
        first = int(targets[0]) if len(targets) else example.num_tokens
        prompt, answer = decode(example.input_ids[:first]), decode(example.input_ids[targets])
        found[f"{split}/{example.example_id}"] = ExampleText(
            example_id=example.example_id,
            split=split,
            messages=(Message(role="user", content=prompt), Message(role="assistant", content=answer)),
            tools="",
            learnt=(1,),
            target_text=answer,
            target_bytes=len(answer.encode("utf-8", errors="replace")),
            labels={},
        )
    return _with_overlap(found)


def _with_overlap(texts: dict[str, ExampleText]) -> dict[str, ExampleText]:
    said = {name: tuple(normalised(m.content) for m in text.messages) for name, text in texts.items()}
    seen = {said[name] for name, text in texts.items() if text.split == "train"}
    prompts = {prompt for prompt, _ in seen if prompt}
    for name, text in texts.items():
        if text.split != "train" and said[name][0]:
            kind = "same" if said[name] in seen else "prompt" if said[name][0] in prompts else None
            texts[name] = replace(text, overlap=kind)
    return texts


def nothing_is_masked(splits: _Splits) -> bool:
    """Whether every token of every row is a target, the first one aside, which is never scored."""
    rows = [example for _, example in each(splits) if example.num_tokens > 1]
    return bool(rows) and all(example.num_target_tokens == example.num_tokens - 1 for example in rows)


def is_plain(splits: _Splits, spans: "Spans | None") -> bool:
    """Whether rows may be a plain text: nothing is masked, and no chat template shows answers in them."""
    return (spans is None or not spans.num_rows) and nothing_is_masked(splits)


def everything_is_learnt(splits: _Splits) -> Notice:
    """What it means that nothing is masked: right for some trainings, and not for others.

    Args:
        splits: Rows of which `nothing_is_masked`.
    """
    rows = [failure(example, split, "every token is a target") for split, example in each(splits)]
    return notice(
        "nothing_masked",
        "warn",
        f"nothing but padding is masked: every token of all {len(rows):,} rows is a target. That is right "
        "for plain text and for continued pretraining; with instruction data the prompts are learnt too",
        rows,
        fix="to learn answers alone, give TRL prompts and completions (completion_only_loss), or messages "
        "with assistant_only_loss=True; elsewhere set the labels of prompts to -100",
    )


def nothing_but_stop(splits: _Splits, stop_ids: Sequence[int]) -> Notice | None:
    """Rows whose only targets end them: the model learns to say nothing."""
    rows = [
        failure(example, split, "its only targets are stop tokens")
        for split, example in each(splits)
        if example.num_target_tokens and np.isin(example.labels[example.labels != IGNORE], stop_ids).all()
    ]
    if not rows:
        return None
    return notice(
        "empty_answers",
        "warn",
        f"{len(rows):,} rows learn nothing but to stop",
        rows,
        fix="their answers are empty or masked: leave these rows out, or give the answers their labels",
    )


class Spans:
    """Answers as the chat template marks them, against the labels of a dataset made elsewhere.

    An answer begins right behind the template's opening of one, and ends with a stop token. Rows without the
    opening are not looked at.

    Attributes:
        prompt: Rows with targets outside of every answer.
        late: Rows with answers of which the first tokens, or some in between, are masked.
        endless: Rows with an earlier answer whose stop token is masked.
        num_rows: Rows that hold the opening.
    """

    def __init__(self, splits: _Splits, tokenizer: Any, stop_ids: Sequence[int]) -> None:
        self.prompt: list[Failure] = []
        self.late: list[Failure] = []
        self.endless: list[Failure] = []
        self.num_rows = 0
        opening, bare = opening_of(tokenizer), opening_of(tokenizer, stripped=True)
        for split, example in each(splits) if opening else ():
            starts = {at + len(opening) for at in places_of(example.input_ids, opening)}
            if starts:
                self.num_rows += 1
                self._judge(split, example, starts, len(opening) - len(bare), stop_ids)

    def _judge(
        self, split: str, example: Example, starts: set[int], slack: int, stop_ids: Sequence[int]
    ) -> None:
        is_target = example.labels != IGNORE
        if not is_target.any():
            return
        inside = np.zeros(example.num_tokens, dtype=bool)
        ends = np.flatnonzero(np.isin(example.input_ids, stop_ids))
        holes = headless = unstopped = 0
        for start in starts:
            after = ends[ends >= start]
            end = int(after[0]) if len(after) else example.num_tokens - 1
            inside[max(0, start - slack) : end + 1] = True
            own = is_target[start : end + 1]
            if not own.any():
                continue  # an answer that is not learnt at all may be meant so
            body = own[:-1] if len(after) else own
            headless += len(body) > 0 and not body[0]
            holes += int((~body[np.flatnonzero(body)[0] :]).sum()) if body.any() else 0
            unstopped += len(after) > 0 and not own[-1] and body.any()
        trailing = inside.copy()
        trailing[1:] |= inside[:-1]  # a line break that the template puts behind an answer
        if outside := int((is_target & ~trailing).sum()):
            self.prompt.append(failure(example, split, f"{outside} targets stand in no answer"))
        if headless or holes:
            what = "its first tokens are masked" if headless else f"{holes} tokens amid the answer are masked"
            self.late.append(failure(example, split, what))
        if unstopped:
            self.endless.append(failure(example, split, f"{unstopped} answers without their stop token"))

    def notices(self) -> list[Notice]:
        """What is likely to cost something."""
        found = []
        if self.late:
            sentence = f"{len(self.late):,} rows have answers with masked tokens in them"
            fix = "is it meant? Otherwise give all of the answer its labels"
            found.append(notice("masked_answers", "warn", sentence, self.late, fix=fix))
        if self.endless:
            sentence = f"{len(self.endless):,} rows have answers that are learnt without their stop token"
            fix = "label the token that ends each answer: else the model runs on after it"
            found.append(notice("endless_answers", "warn", sentence, self.endless, fix=fix))
        return found
