"""Messages -> text -> token ids with labels: the one prompt builder of training, scoring and generation.

A conversation is cut into segments, each encoded by itself, so that the ids of a prompt are the same whether
an answer follows or not: what generation will see is a prefix of what was trained on.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lorascope.errors import ConfigError, ModelError, RunError, explain
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids of one conversation.

    Attributes:
        input_ids: Every token.
        labels: The token where it is a target, -100 elsewhere.
        target_text: What the targets say, without the stop token: the bytes of bits_per_byte.
    """

    input_ids: list[int]
    labels: list[int]
    target_text: str


@dataclass(frozen=True, slots=True)
class _Segment:
    text: str
    is_target: bool


# Stands for a special token that a row spells out while the chat template is rendered.
_GUARD = re.compile("\U0010fffe([0-9]+)\U0010fffe")


class TemplateRefusal(Exception):
    """A conversation that this template cannot express; prepare drops the row with this reason."""


# Wording of Stanford Alpaca's train.py (Taori et al. 2023), with and without an input.
_STANFORD = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n",
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n",
)
# The variant of the classic GPT-2/Alpaca experiment.
_S1 = (
    "Below is an instruction that describes a task, and an input that provides additional context.\n"
    "Write a response that appropriately completes the request.\n\n",
    "Below is an instruction that describes a task.\n"
    "Write a response that appropriately completes the request.\n\n",
)
_PREAMBLES = {"alpaca": _STANFORD, "alpaca_s1": _S1}


def resolve_template(name: str, tokenizer: Any) -> str:
    """Say which template "auto" stands for: the tokenizer's own where it has one, else Alpaca's.

    Raises:
        ConfigError: "chat" was asked of a tokenizer without a chat template.
    """
    has_own = bool(getattr(tokenizer, "chat_template", None))
    if name == "chat" and not has_own:
        raise ConfigError(
            explain(
                "prepare.template: chat needs a tokenizer with a chat template",
                where=f"tokenizer {tokenizer.name_or_path}",
                why="it has none, so there is no chat format to train",
                fix="use prepare.template: alpaca, or the base model's chat variant",
            )
        )
    if name != "auto":
        return name
    return "chat" if has_own else "alpaca"


class Template:
    """How conversations become token ids, for one tokenizer.

    Args:
        name: "alpaca", "alpaca_s1" or "chat"; see `resolve_template` for "auto".
        tokenizer: The base model's fast tokenizer.
        chat_template: The Jinja text of a chat template saved with a run; None takes the tokenizer's.
    """

    def __init__(self, name: str, tokenizer: Any, *, chat_template: str | None = None) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                explain(
                    "the tokenizer has no end-of-text token",
                    where=f"tokenizer {tokenizer.name_or_path}",
                    why="without one a model cannot learn to stop",
                    fix="set eos_token in its tokenizer_config.json",
                )
            )
        self.name = name
        self.tokenizer = tokenizer
        self.chat_template = (chat_template or tokenizer.chat_template) if name == "chat" else None

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer: the one this template trains, and the tokenizer's end-of-text."""
        probe = [Message(role="user", content="a"), Message(role="assistant", content="b")]
        eos = int(self.tokenizer.eos_token_id)
        for messages in (probe, [Message(role="system", content="c"), *probe]):
            with contextlib.suppress(TemplateRefusal):  # some templates insist on a system message
                trained = [label for label in self.encode(messages).labels if label != IGNORE][-1]
                return tuple(dict.fromkeys([trained, eos]))
        return (eos,)

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Encode one conversation; see `encode_all`."""
        return self.encode_all([messages])[0]

    def encode_all(self, conversations: Sequence[Sequence[Message]]) -> list[Encoded]:
        """Encode conversations whose assistant turns are the targets.

        Args:
            conversations: Each with at least one assistant turn.

        Returns:
            One Encoded each. Every assistant turn ends with a stop token that is a target.

        Raises:
            TemplateRefusal: The template cannot express one of them; encode them one by one to learn which.
        """
        segments = [self._segments(messages) for messages in conversations]
        ids = iter(self._ids([segment.text for one in segments for segment in one]))
        return [self._join([(segment, next(ids)) for segment in one]) for one in segments]

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids up to the point where the assistant is to answer: the prompt that generation sees.

        Args:
            messages: A conversation that ends before the assistant's turn.
        """
        segments = self._prompt_segments(messages)
        ids = self._ids([segment.text for segment in segments])
        return self._join(list(zip(segments, ids, strict=True))).input_ids

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt of `encode_prompt` as text."""
        text = "".join(segment.text for segment in self._prompt_segments(messages))
        return _GUARD.sub(lambda match: self._special_tokens[int(match[1])], text)

    def _join(self, parts: Sequence[tuple[_Segment, list[int]]]) -> Encoded:
        input_ids: list[int] = list(self._bos(parts[0][0].text if parts else ""))
        labels = [IGNORE] * len(input_ids)
        texts = []
        for segment, ids in parts:
            if not segment.is_target:
                input_ids += ids
                labels += [IGNORE] * len(ids)
                continue
            body, stop, after = self._split_stop(ids)
            input_ids += [*body, *stop, *after]
            labels += [*body, *stop, *([IGNORE] * len(after))]
            texts.append(segment.text if not self.chat_template else self.tokenizer.decode(body))
        return Encoded(input_ids=input_ids, labels=labels, target_text="".join(texts))

    def _split_stop(self, ids: list[int]) -> tuple[list[int], list[int], list[int]]:
        """Cut an answer into its text, its stop token and the template's white space behind it."""
        eos = int(self.tokenizer.eos_token_id)
        if not self.chat_template:
            return ids, [eos], []
        end = len(ids)
        while end and not self.tokenizer.decode(ids[end - 1]).strip():
            end -= 1
        if end and ids[end - 1] in self._special_ids:
            return ids[: end - 1], [ids[end - 1]], ids[end:]
        return ids, [eos], []

    @cached_property
    def _special_tokens(self) -> list[str]:
        """Texts of the special tokens, longest first: one may be a part of another."""
        names = {str(self.tokenizer.convert_ids_to_tokens(i)) for i in self._special_ids}
        return sorted(names, key=lambda name: (-len(name), name))

    @cached_property
    def _spelt(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(token) for token in self._special_tokens))

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return frozenset(self.tokenizer.all_special_ids) | {i for i, token in added.items() if token.special}

    def _segments(self, messages: Sequence[Message]) -> list[_Segment]:
        return self._chat_segments(messages) if self.chat_template else self._alpaca_segments(messages)

    def _prompt_segments(self, messages: Sequence[Message]) -> list[_Segment]:
        segments = self._segments(messages)
        if self.chat_template:
            done = "".join(segment.text for segment in segments)
            segments.append(_Segment(self._render(messages, generate=True)[len(done) :], False))
        return segments

    def _alpaca_segments(self, messages: Sequence[Message]) -> list[_Segment]:
        """Preamble once, then a block for each turn; a system message leads its instruction."""
        with_input, without = _PREAMBLES[self.name]
        segments: list[_Segment] = []
        system = ""
        for message in messages:
            if message.role == "system":
                system = f"{message.content}\n\n"
            elif message.role == "user":
                lead = "\n\n" if segments else (with_input if message.context else without)
                block = f"### Instruction:\n{system}{message.content}\n\n"
                block += f"### Input:\n{message.context}\n\n" if message.context else ""
                segments.append(_Segment(f"{lead}{block}### Response:\n", False))
                system = ""
            elif message.role == "assistant":
                segments.append(_Segment(message.content, True))
            else:
                raise TemplateRefusal(f"template {self.name} has no place for role {message.role}")
            if system and message.role == "assistant":
                raise TemplateRefusal(
                    f"template {self.name} has no place for a system message before an answer"
                )
        return segments

    def _chat_segments(self, messages: Sequence[Message]) -> list[_Segment]:
        segments: list[_Segment] = []
        done = ""
        for turn, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prompt = self._render(messages[:turn], generate=True)
            full = self._render(messages[: turn + 1], generate=False)
            if not (prompt.startswith(done) and full.startswith(prompt)):
                raise TemplateRefusal(
                    "the chat template rewrites earlier turns, so a turn's prompt is no prefix"
                )
            segments += [_Segment(prompt[len(done) :], False), _Segment(full[len(prompt) :], True)]
            done = full
        return segments

    def _render(self, messages: Sequence[Message], *, generate: bool) -> str:
        import jinja2

        turns = [
            {
                "role": m.role,
                "content": self._guarded(f"{m.content}\n\n{m.context}" if m.context else m.content),
            }
            for m in messages
        ]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    turns, chat_template=self.chat_template, tokenize=False, add_generation_prompt=generate
                )
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError) as error:
            raise TemplateRefusal(f"the chat template refuses: {str(error)[:80]}") from error

    def _guarded(self, content: str) -> str:
        """Stand a guard in for each special token that a row spells out, so that it stays text."""
        if _GUARD.search(content):
            raise TemplateRefusal("the text holds U+10FFFE, which is no character")
        numbers = {token: number for number, token in enumerate(self._special_tokens)}
        return self._spelt.sub(lambda match: f"\U0010fffe{numbers[match[0]]}\U0010fffe", content)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Encode segments. Only the chat template writes special tokens; what a row says stays text."""
        if not self.chat_template:
            return self._encoded(texts, special=False)
        ids = self._encoded([text for text in texts if not _GUARD.search(text)], special=True)
        plain = iter(ids)
        return [self._guarded_ids(text) if _GUARD.search(text) else next(plain) for text in texts]

    def _guarded_ids(self, text: str) -> list[int]:
        """Encode a segment piece by piece: the guarded ones as text, the template's own as they are."""
        ids: list[int] = []
        for place, piece in enumerate(_GUARD.split(text)):
            spelt = place % 2 == 1
            ids += self._encoded([self._special_tokens[int(piece)] if spelt else piece], special=not spelt)[0]
        return ids

    def _encoded(self, texts: list[str], *, special: bool) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            split_special_tokens=not special,
            verbose=False,
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def _bos(self, text: str) -> list[int]:
        """The beginning-of-text token where the tokenizer adds one and the template has not written it."""
        return [] if self.chat_template or not self._adds_bos else [int(self.tokenizer.bos_token_id)]

    @cached_property
    def _adds_bos(self) -> bool:
        bos = self.tokenizer.bos_token_id
        return bos is not None and self.tokenizer("a")["input_ids"][:1] == [bos]

    def as_record(self) -> dict[str, Any]:
        """What prepare/template.json holds."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "wording": self.chat_template or list(_PREAMBLES[self.name]),
            "stop_ids": list(self.stop_ids),
            "stop_tokens": [self.tokenizer.convert_ids_to_tokens(i) for i in self.stop_ids],
            "tokenizer_sha256": tokenizer_fingerprint(self.tokenizer),
        }

    @cached_property
    def sha256(self) -> str:
        """Hash of the wording; with the tokenizer's it decides whether two runs' prompts are the same."""
        wording = self.chat_template or json.dumps(_PREAMBLES[self.name])
        return hashlib.sha256(f"{self.name}\n{wording}".encode()).hexdigest()


def load_template(path: Path, tokenizer: Any) -> Template:
    """Rebuild the template a run was prepared with, and insist on the same tokenizer.

    Raises:
        RunError: The record cannot be read.
        ModelError: The tokenizer is not the one the data was tokenised with.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        name, wording, expected = record["name"], record["wording"], record["tokenizer_sha256"]
        template_sha256 = record["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            explain(
                "the run's template cannot be read",
                where=str(path),
                why=f"the file is missing or damaged ({error.__class__.__name__})",
                fix="run lorascope prepare again with --overwrite",
            )
        ) from error
    found = tokenizer_fingerprint(tokenizer)
    if found != expected:
        raise ModelError(
            explain(
                "the tokenizer is not the one this run was prepared with",
                where=f"tokenizer {tokenizer.name_or_path}; {path}",
                why=f"its hash is {found[:12]}, the run's {expected[:12]}: prompts would differ",
                fix="use the base model of the run, or prepare the data again for this one",
            )
        )
    template = Template(name, tokenizer, chat_template=wording if name == "chat" else None)
    if template.sha256 != template_sha256:
        raise ModelError(
            explain(
                f"the template {name} is not the one this run was prepared with",
                where=str(path),
                why=f"its hash is {template.sha256[:12]}, the run's {template_sha256[:12]}: prompts differ",
                fix="use the version of lorascope named in provenance.json, or prepare the data again",
            )
        )
    return template
