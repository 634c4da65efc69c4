"""Messages -> text -> token ids with labels: the one prompt builder of training, scoring and generation.

A conversation is cut into segments, each encoded by itself, so that the ids of a prompt are the same whether
an answer follows or not: what generation will see is a prefix of what was trained on.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2

from lorascope.errors import ConfigError, ModelError, explain, nearest
from lorascope.lm.alpaca import PREAMBLES, alpaca_segments
from lorascope.lm.chat import GUARD, Chat, choose_options
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.lm.segments import Segment, TemplateRefusal, learnt_turns, merged
from lorascope.run.data_sections import TEMPLATES
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids of a conversation, or of its beginning up to a learnt turn.

    Attributes:
        input_ids: Every token.
        labels: The token where it is a target, -100 elsewhere.
        target_text: What the targets say, without the stop token: the bytes of bits_per_byte.
        num_turns: Turns of the merged conversation that it holds, from the first.
        learnt: Places of the turns that are targets.
        omitted: What its learnt turns have that the template has no place for: "reasoning", "tools".
    """

    input_ids: list[int]
    labels: list[int]
    target_text: str
    num_turns: int
    learnt: tuple[int, ...]
    omitted: frozenset[str] = frozenset()


_ASKED = Message(role="user", content="a")
_SCHEMA = {
    "name": "f",
    "description": "f",
    "parameters": {"type": "object", "properties": {}, "required": []},
}
_CALL = ToolCall(name="f", arguments="{}", call_id="abcdefghi")  # some templates want nine letters
_PROBES: list[tuple[list[Message], str]] = [
    ([_ASKED, Message(role="assistant", content="b")], ""),
    ([Message(role="system", content="c"), _ASKED, Message(role="assistant", content="b")], ""),
    ([_ASKED, Message(role="assistant", content="b", reasoning="d")], ""),
    (
        [_ASKED, Message(role="assistant", tool_calls=(_CALL,))],
        json.dumps([{"type": "function", "function": _SCHEMA}]),
    ),
]


@dataclass(frozen=True, slots=True)
class _Part:
    """An example before its ids: its segments, the turns it holds, and which of them are learnt."""

    segments: list[Segment]
    num_turns: int
    learnt: tuple[int, ...]
    omitted: frozenset[str] = frozenset()


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


def open_template(asked: str, tokenizer: Any) -> "Template":
    """The template that `prepare.template` asks for: one of ours, the tokenizer's own, or a file's.

    Raises:
        ConfigError: "chat" was asked of a tokenizer without one; the file is not there or is no Jinja.
    """
    if asked in TEMPLATES:
        return Template(resolve_template(asked, tokenizer), tokenizer)
    path = Path(asked)
    try:
        wording = path.read_text(encoding="utf-8")
        jinja2.Environment().parse(wording)
    except (OSError, UnicodeDecodeError, jinja2.TemplateSyntaxError) as error:
        siblings = [one.name for one in path.parent.glob("*.jin*")] if path.parent.is_dir() else []
        raise ConfigError(
            explain(
                f'prepare.template: "{asked}" cannot be read as a chat template',
                where=str(path),
                why=str(getattr(error, "strerror", None) or error),
                fix=nearest(path.name, siblings) if siblings else f"a file, or one of {', '.join(TEMPLATES)}",
            )
        ) from error
    return Template("chat", tokenizer, chat_template=wording)


class Template:
    """How conversations become token ids, for one tokenizer.

    Args:
        name: "alpaca", "alpaca_s1" or "chat"; see `resolve_template` for "auto".
        tokenizer: The base model's fast tokenizer.
        chat_template: The Jinja text of a chat template saved with a run; None takes the tokenizer's.
        options: Variables for the chat template, from `for_conversations`.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        *,
        chat_template: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
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
        self.options = dict(options or {})

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer: those this template trains, and the tokenizer's end-of-text.

        A template may end an answer, a thought-out answer and a call of a tool differently.
        """
        trained: list[int] = []
        for messages, tools in _PROBES:
            with contextlib.suppress(TemplateRefusal):  # some insist on a system message, or always think
                labels = self.encode(messages, tools)[-1].labels
                trained.append([label for label in labels if label != IGNORE][-1])
        return tuple(dict.fromkeys([*trained, int(self.tokenizer.eos_token_id)]))

    @property
    def folds_system(self) -> bool:
        """Whether a system message is put at the head of the first user turn."""
        return self._chat is not None and self._chat.folds_system

    def for_conversations(
        self, conversations: Sequence[tuple[Sequence[Message], str]], targets: str = "all"
    ) -> "Template":
        """The same template in the thinking mode that suits some conversations, messages and tools, best."""
        if not self.chat_template:
            return self
        sample = []
        for messages, tools in conversations:
            turns = merged(messages)
            with contextlib.suppress(TemplateRefusal):
                sample.append((turns, tools, learnt_turns(turns, targets)))
        options = choose_options(self.tokenizer, self.chat_template, self._special_tokens, sample)
        return Template(self.name, self.tokenizer, chat_template=self.chat_template, options=options)

    def encode(self, messages: Sequence[Message], tools: str = "", *, targets: str = "all") -> list[Encoded]:
        """Encode one conversation; see `encode_all`.

        Raises:
            TemplateRefusal: The template cannot express it.
        """
        (encoded,) = self.encode_all([(messages, tools)], targets=targets)
        if isinstance(encoded, TemplateRefusal):
            raise encoded
        return encoded

    def encode_all(
        self, conversations: Sequence[tuple[Sequence[Message], str]], *, targets: str = "all"
    ) -> list[list[Encoded] | TemplateRefusal]:
        """Encode conversations whose assistant turns are the targets.

        Args:
            conversations: Messages with at least one assistant turn, and JSON text of their tools' schemas.
            targets: "all" assistant turns or the "last"; a turn's own `train` decides before it.

        Returns:
            For each a list: one Encoded, or one for each learnt turn where a chat template rewrites earlier
            turns. Every learnt turn ends with a stop token that is a target. A refusal where the template
            cannot express a conversation.
        """
        worded = [self._worded_or_refused(messages, tools, targets) for messages, tools in conversations]
        good = [parts for parts in worded if not isinstance(parts, TemplateRefusal)]
        ids = iter(self._ids([one.text for parts in good for part in parts for one in part.segments]))
        return [
            parts
            if isinstance(parts, TemplateRefusal)
            else [self._join(part, [next(ids) for _ in part.segments]) for part in parts]
            for parts in worded
        ]

    def encode_prompt(self, messages: Sequence[Message], tools: str = "") -> list[int]:
        """Token ids up to the point where the assistant is to answer: the prompt that generation sees.

        Args:
            messages: A conversation that ends before the assistant's turn.
            tools: JSON text of the tools' schemas.
        """
        segments = self._prompt_segments(messages, tools)
        ids = self._ids([segment.text for segment in segments])
        return self._join(_Part(segments, len(messages), ()), ids).input_ids

    def prompt_text(self, messages: Sequence[Message], tools: str = "") -> str:
        """The prompt of `encode_prompt` as text."""
        text = "".join(segment.text for segment in self._prompt_segments(messages, tools))
        return GUARD.sub(lambda match: self._special_tokens[int(match[1])], text)

    @cached_property
    def _chat(self) -> Chat | None:
        if not self.chat_template:
            return None
        return Chat(self.tokenizer, self.chat_template, self._special_tokens, self.options)

    def _worded_or_refused(
        self, messages: Sequence[Message], tools: str, targets: str
    ) -> list[_Part] | TemplateRefusal:
        try:
            return self._worded(messages, tools, targets)
        except TemplateRefusal as refusal:
            return refusal

    def _worded(self, messages: Sequence[Message], tools: str, targets: str) -> list[_Part]:
        """Segments of each example that a conversation gives."""
        if [message.role for message in messages] == ["text"]:
            return [_Part([Segment(messages[0].content, True, True)], 1, (0,))]
        turns = merged(messages)
        learnt = learnt_turns(turns, targets)
        turns = turns[: learnt[-1] + 1]  # what follows the last learnt turn would be computed for nothing
        if self._chat is None:
            return [_Part(alpaca_segments(self.name, turns, learnt), len(turns), tuple(learnt))]
        examples = self._chat.segments(turns, tools, learnt)
        held = [tuple(learnt)] if len(examples) == 1 else [(turn,) for turn in learnt]
        return [
            _Part(segments, own[-1] + 1, own, self._omitted(segments, [turns[turn] for turn in own], tools))
            for segments, own in zip(examples, held, strict=True)
        ]

    def _omitted(self, segments: Sequence[Segment], learnt: Sequence[Message], tools: str) -> frozenset[str]:
        assert self._chat is not None
        prompt = segments[0].text
        answers = [segment.text for segment in segments if segment.is_target]
        gone = (
            self._chat.omitted(turn, prompt, said, tools)
            for turn, said in zip(learnt, answers, strict=True)
            if tools or turn.reasoning
        )
        return frozenset().union(*gone)

    def _prompt_segments(self, messages: Sequence[Message], tools: str) -> list[Segment]:
        turns = merged(messages)
        if self._chat is None:
            return alpaca_segments(self.name, turns, ())
        return self._chat.prompt_segments(turns, tools)

    def _join(self, part: _Part, ids_of: Sequence[list[int]]) -> Encoded:
        input_ids: list[int] = list(self._bos())
        labels = [IGNORE] * len(input_ids)
        texts = []
        for segment, ids in zip(part.segments, ids_of, strict=True):
            if not segment.is_answer:
                input_ids += ids
                labels += [IGNORE] * len(ids)
                continue
            body, stop, after = self._split_stop(ids)
            input_ids += [*body, *stop, *after]
            learnt = [*body, *stop] if segment.is_target else [IGNORE] * len(body + stop)
            labels += [*learnt, *([IGNORE] * len(after))]
            if segment.is_target:
                texts.append(segment.text if not self.chat_template else self.tokenizer.decode(body))
        return Encoded(
            input_ids=input_ids,
            labels=labels,
            target_text="".join(texts),
            num_turns=part.num_turns,
            learnt=part.learnt,
            omitted=part.omitted,
        )

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
    def _special_ids(self) -> frozenset[int]:
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return frozenset(self.tokenizer.all_special_ids) | {i for i, token in added.items() if token.special}

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Encode segments. Only the chat template writes special tokens; what a row says stays text."""
        if not self.chat_template:
            return self._encoded(texts, special=False)
        ids = self._encoded([text for text in texts if not GUARD.search(text)], special=True)
        plain = iter(ids)
        return [self._guarded_ids(text) if GUARD.search(text) else next(plain) for text in texts]

    def _guarded_ids(self, text: str) -> list[int]:
        """Encode a segment piece by piece: the guarded ones as text, the template's own as they are."""
        ids: list[int] = []
        for place, piece in enumerate(GUARD.split(text)):
            spelt = place % 2 == 1
            ids += self._encoded([self._special_tokens[int(piece)] if spelt else piece], special=not spelt)[0]
        return ids

    def _encoded(self, texts: list[str], *, special: bool) -> list[list[int]]:
        if not texts:
            return []
        backend = self.tokenizer.backend_tokenizer  # what it runs itself, without making masks of every text
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = not special
        return [encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)]

    def _bos(self) -> list[int]:
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
            "wording": self.chat_template or list(PREAMBLES[self.name]),
            "options": self.options,
            "folds_system": self.folds_system,
            "stop_ids": list(self.stop_ids),
            "stop_tokens": [self.tokenizer.convert_ids_to_tokens(i) for i in self.stop_ids],
            "tokenizer_sha256": tokenizer_fingerprint(self.tokenizer),
        }

    @cached_property
    def sha256(self) -> str:
        """Hash of the wording; with the tokenizer's it decides whether two runs' prompts are the same."""
        wording = self.chat_template or json.dumps(PREAMBLES[self.name])
        options = f"\n{json.dumps(self.options, sort_keys=True)}" if self.options else ""
        return hashlib.sha256(f"{self.name}\n{wording}{options}".encode()).hexdigest()
