"""Prompts for base and adapter, from a split or a file; always through the template of the training data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.errors import DataError, ModelError, explain, nearest
from lorascope.lm.segments import TemplateRefusal
from lorascope.lm.template import Template
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.message import Message
from lorascope.run.texts import ExampleText

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What both models are asked.

    Attributes:
        prompt_id: An example id, or file:line.
        source: "validation" or another split, or the name of the file.
        text: The prompt as the model sees it, template and all.
        input_ids: Its tokens.
        reference: The answer that the data gives, None where there is none.
    """

    prompt_id: str
    source: str
    text: str
    input_ids: tuple[int, ...]
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One line of a prompts file.

    Attributes:
        line: 1-based.
        messages: Its turns, up to the answer that is wanted.
        reference: The answer that came with it.
    """

    line: int
    messages: tuple[Message, ...]
    reference: str | None


def seeded_order(examples: Sequence[Example], seed: int) -> list[int]:
    """Examples with target tokens in the order of a seed: whoever takes the first n takes a fair sample."""
    order = np.random.default_rng(seed).permutation(len(examples))
    return [int(index) for index in order if examples[index].num_target_tokens]


def prompt_of(
    example: Example, text: ExampleText | None, template: Template, *, split: str, tokenizer: Any
) -> Prompt:
    """The prompt of an example's last answer, as it stands in the training data.

    Args:
        example: Tokenised, with a target.
        text: What it says; None for a dataset made elsewhere, whose prompt is read back from its tokens.
        template: Of the training data; it must give the very tokens that stand before the answer.
        split: Of the example.
        tokenizer: For reading tokens back.

    Raises:
        ModelError: Template and training data disagree about the prompt.
    """
    if text is None:
        start, end = _last_answer(example)
        return Prompt(
            prompt_id=example.example_id,
            source=split,
            text=tokenizer.decode(example.input_ids[:start]),
            input_ids=tuple(example.input_ids[:start].tolist()),
            reference=tokenizer.decode(example.input_ids[start:end], skip_special_tokens=True),
        )
    messages = text.messages[:-1]
    ids = template.encode_prompt(messages, text.tools)
    if ids != example.input_ids[: len(ids)].tolist():
        raise ModelError(
            explain(
                f"the prompt of {example.example_id} is not the one that was trained on",
                where=f"template {template.name}; split {split}",
                why="its tokens differ from those before the answer in the dataset, so the adapter would be "
                "compared off the path it was trained on",
                fix="prepare the data again with this version: lorascope prepare ... --overwrite",
            )
        )
    return Prompt(
        prompt_id=example.example_id,
        source=split,
        text=template.prompt_text(messages, text.tools),
        input_ids=tuple(ids),
        reference=text.messages[-1].content,
    )


def _last_answer(example: Example) -> tuple[int, int]:
    """Where the last run of target tokens begins and ends."""
    targets = np.flatnonzero(example.labels != IGNORE)
    end = start = int(targets[-1])
    while start > 1 and example.labels[start - 1] != IGNORE:
        start -= 1
    return max(start, 1), end + 1


def encode_asked(asked: Sequence[Asked], template: Template, path: Path) -> list[Prompt]:
    """Put the prompts of a file into the template.

    Raises:
        DataError: The template cannot express one of them; the message names its line.
    """
    prompts, bad = [], {}
    for one in asked:
        try:
            text, ids = template.prompt_text(one.messages), template.encode_prompt(one.messages)
        except TemplateRefusal as refusal:
            bad[one.line] = str(refusal)
            continue
        prompts.append(
            Prompt(
                prompt_id=f"{path.name}:{one.line}",
                source=path.name,
                text=text,
                input_ids=tuple(ids),
                reference=one.reference,
            )
        )
    _refuse(bad, path)
    return prompts


def read_prompts(path: Path) -> list[Asked]:
    """Read a prompts file: one prompt a line, or JSON Lines.

    Args:
        path: .jsonl, .ndjson and .json hold one object a line, with instruction (and input, output) or
            messages; any other file one prompt a line as text. Empty lines are passed over.

    Raises:
        DataError: It is missing, is no UTF-8 text, holds no prompt, or has lines that are none; all bad lines
            are counted and the first named with their reasons.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        unreadable = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        beside = [one.name for one in path.parent.iterdir() if one.is_file()] if path.parent.is_dir() else []
        raise DataError(
            explain(
                f'prompts file "{path}" cannot be read',
                where=f"--prompts {path}",
                why=str(unreadable),
                fix=nearest(path.name, beside),
            )
        ) from error
    read = _from_json if path.suffix.lower() in _JSON_SUFFIXES else _from_text
    asked, bad = [], {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = read(line.rstrip("\r"), number)
            if isinstance(found, str):
                bad[number] = found
            else:
                asked.append(found)
    _refuse(bad, path)
    if not asked:
        raise DataError(
            explain(
                f'"{path}" holds no prompt',
                where=f"--prompts {path}",
                why="every line of it is empty",
                fix="write one prompt a line, or JSON Lines with instruction or messages",
            )
        )
    return asked


def _refuse(bad: Mapping[int, str], path: Path) -> None:
    if not bad:
        return
    shown = "; ".join(f"line {line}: {reason}" for line, reason in list(bad.items())[:5])
    more = f"; {len(bad) - 5:,} more" if len(bad) > 5 else ""
    raise DataError(
        explain(
            f"{len(bad):,} line(s) of the prompts file cannot be used: {shown}{more}",
            where=f"--prompts {path}",
            why="a prompt that is left out without a word would make the comparison another one",
            fix="mend or delete these lines; a line of JSON Lines is "
            '{"instruction": "...", "input": "..."} or {"messages": [{"role": "user", "content": "..."}]}',
        )
    )


def _from_text(line: str, number: int) -> Asked | str:
    return Asked(line=number, messages=(Message(role="user", content=line.strip()),), reference=None)


def _from_json(line: str, number: int) -> Asked | str:
    """Read one line of JSON Lines, or say what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError as error:
        return f"no JSON ({str(error)[:60]})"
    if not isinstance(row, dict):
        return f"a {type(row).__name__}, not an object"
    if "messages" in row:
        return _from_messages(row["messages"], number)
    texts = {name: row.get(name) or "" for name in ("instruction", "input", "output")}
    if "instruction" not in row:
        return f"neither instruction nor messages; it has {', '.join(row) or 'no key'}"
    wrong = next((name for name, text in texts.items() if not isinstance(text, str)), None)
    if wrong:
        return f"{wrong} is no text"
    if not texts["instruction"].strip():
        return "instruction is empty"
    context = texts["input"] if texts["input"].strip() else ""
    asked = Message(role="user", content=texts["instruction"], context=context)
    return Asked(line=number, messages=(asked,), reference=texts["output"] or None)


def _from_messages(turns: Any, number: int) -> Asked | str:
    if not isinstance(turns, list) or not turns:
        return "messages is no list of turns"
    messages = []
    for turn in turns:
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
        if role not in _ROLES or not isinstance(content, str):
            return f"a turn needs role ({', '.join(_ROLES)}) and content"
        messages.append(Message(role=role, content=content))
    reference = messages.pop().content if messages[-1].role == "assistant" else None
    if not messages or messages[-1].role != "user":
        return "no user turn stands before the answer"
    return Asked(line=number, messages=tuple(messages), reference=reference)
