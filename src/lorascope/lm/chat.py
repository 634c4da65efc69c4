"""A tokenizer's chat template: conversations -> segments, whatever the template does to them.

Templates differ in more than their wording: some take thinking out of earlier turns, some write an end of
text behind the last turn only, some want content in parts or a call's arguments as text, some have no place
for a system message. What a template needs is found out by rendering small probes, never by its name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from lorascope.lm.segments import Segment, TemplateRefusal, merged
from lorascope.run.message import Message

GUARD = re.compile("\U0010fffe([0-9]+)\U0010fffe")
"""Stands for a special token that a row spells out while the chat template is rendered; holds its number."""

_THINKING: tuple[Mapping[str, Any], ...] = ({}, {"enable_thinking": False}, {"enable_thinking": True})
_PROBE = [Message(role="user", content="qwert"), Message(role="assistant", content="asdfg")]


class Chat:
    """How a chat template words conversations.

    Args:
        tokenizer: Its special tokens go into the template.
        wording: The Jinja text; rendered by transformers in a sandbox.
        special_tokens: Texts that only the template may write.
        options: Variables that the template is given, such as {"enable_thinking": False}.
    """

    def __init__(
        self, tokenizer: Any, wording: str, special_tokens: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        self.tokenizer, self.wording, self.options = tokenizer, wording, dict(options)
        self.numbers = {token: number for number, token in enumerate(special_tokens)}
        self.spelt = re.compile("|".join(re.escape(token) for token in special_tokens) or r"(?!)")

    def segments(self, messages: Sequence[Message], tools: str, learnt: Sequence[int]) -> list[list[Segment]]:
        """Word a conversation.

        Args:
            messages: Its turns, merged.
            tools: JSON text of the tools' schemas; "" for none.
            learnt: Places of the turns that are targets.

        Returns:
            One list of segments, or one for each learnt turn where the template rewrites earlier turns: what
            stands before a turn in training is then what a server sends before it.

        Raises:
            TemplateRefusal: The template refuses it, or starts an answer otherwise than generation would.
        """
        last = learnt[-1]
        prompt = self._rendered(messages[:last], tools, generate=True)
        lead, answers = self._cut(prompt, messages[:last], tools), 0
        places = [turn for turn, message in enumerate(messages) if message.role == "assistant"]
        if len(learnt) > 1 and not any(segment.is_answer for segment in lead):
            return [
                [*self.prompt_segments(messages[:t], tools), self._answer(messages, t, tools)] for t in learnt
            ]
        marked = []
        for segment in lead:
            marked.append(replace(segment, is_target=segment.is_answer and places[answers] in learnt))
            answers += segment.is_answer
        return [[*marked, self._answer(messages, last, tools, prompt)]]

    def prompt_segments(self, messages: Sequence[Message], tools: str) -> list[Segment]:
        """Cut the prompt at its answers, so that its ids do not depend on where it ends.

        One segment where the template rewrites earlier turns: then a prompt is not the beginning of another.
        """
        return self._cut(self._rendered(messages, tools, generate=True), messages, tools)

    def _cut(self, prompt: str, messages: Sequence[Message], tools: str) -> list[Segment]:
        if not self._ends_turns:  # then an answer in mid-conversation has no stop token to learn
            return [Segment(prompt)]
        segments: list[Segment] = []
        done = ""
        for turn, message in enumerate(messages):
            if message.role == "assistant":
                try:
                    before, answer = self._turn(messages, turn, tools)
                except TemplateRefusal:
                    return [Segment(prompt)]
                if not before.startswith(done):
                    return [Segment(prompt)]
                segments += [Segment(before[len(done) :]), Segment(answer, is_answer=True)]
                done = before + answer
        return [*segments, Segment(prompt[len(done) :])] if prompt.startswith(done) else [Segment(prompt)]

    def _answer(
        self, messages: Sequence[Message], turn: int, tools: str, prompt: str | None = None
    ) -> Segment:
        return Segment(self._turn(messages, turn, tools, prompt)[1], is_answer=True, is_target=True)

    def fits(self, messages: Sequence[Message], tools: str, learnt: Sequence[int]) -> bool:
        """Whether the template expresses a conversation."""
        try:
            return bool(self.segments(messages, tools, learnt))
        except TemplateRefusal:
            return False

    def _turn(
        self, messages: Sequence[Message], turn: int, tools: str, prompt: str | None = None
    ) -> tuple[str, str]:
        """Prompt and answer of one turn; the prompt is rendered here where it was not before."""
        if prompt is None:
            prompt = self._rendered(messages[:turn], tools, generate=True)
        full = self._rendered(messages[: turn + 1], tools, generate=False).removesuffix(self._closing)
        if not full.startswith(prompt):
            opening = prompt[_common_length(prompt, full) :]
            raise TemplateRefusal(
                f"the chat template begins answers with {opening[:40]!r}, and this one otherwise"
            )
        self._insist_on_content(messages[turn], full[len(prompt) :])
        return prompt, full[len(prompt) :]

    def _insist_on_content(self, message: Message, answer: str) -> None:
        if self._guarded(message.content).strip() not in answer:
            raise TemplateRefusal("the chat template leaves out what the assistant says")
        if any(call.name not in answer for call in message.tool_calls):
            raise TemplateRefusal("the chat template leaves out tool calls")

    def omitted(self, message: Message, prompt: str, answer: str, tools: str) -> set[str]:
        """What a learnt turn has that the template did not write: "reasoning", "tools"."""
        names = [str(_function(tool).get("name", "")) for tool in json.loads(tools)] if tools else []
        gone = {"tools"} if any(name not in prompt for name in names) else set()
        return gone | ({"reasoning"} if self._guarded(message.reasoning).strip() not in answer else set())

    @cached_property
    def _ends_turns(self) -> bool:
        """Whether the template writes a special token behind an answer."""
        try:
            answer = self._turn(_PROBE, 1, "")[1].rstrip()
        except TemplateRefusal:
            return True  # nothing can be seen from the probe; each conversation is looked at by itself
        return answer.endswith(tuple(self.numbers))

    @cached_property
    def _closing(self) -> str:
        """What the template writes behind the last turn only, as Phi-3 its end-of-text after <|end|>.

        Found by letting a turn follow: what both texts share ends with the turn's own stop token, or the rest
        is no closing.
        """
        try:
            full = self._rendered(_PROBE, "", generate=False)
            longer = self._rendered([*_PROBE, _PROBE[0]], "", generate=False)
        except TemplateRefusal:
            return ""
        place = _common_length(full, longer)
        inside = [m.start() for m in self.spelt.finditer(full) if m.start() < place < m.end()]
        place = inside[0] if inside else place  # "<|end" is no end of "<|endoftext|>"
        return full[place:] if full[:place].rstrip().endswith(tuple(self.numbers)) else ""

    @cached_property
    def _in_parts(self) -> bool:
        """Whether content must be a list of typed parts: as text it would be lost."""
        try:
            return "qwert" not in self._render(_PROBE, "", generate=False, in_parts=False, as_text=False)
        except TemplateRefusal:
            pass
        try:
            return "qwert" in self._render(_PROBE, "", generate=False, in_parts=True, as_text=False)
        except TemplateRefusal:
            return False

    @cached_property
    def folds_system(self) -> bool:
        """Whether a system message leads the first user turn, because the template has no place for it."""
        system = [Message(role="system", content="zxcvb"), *_PROBE]
        if self._probe_holds(_PROBE, "qwert") and not self._probe_holds(system, "zxcvb"):
            return self._probe_holds(folded(system), "zxcvb")
        return False

    def _probe_holds(self, messages: Sequence[Message], word: str) -> bool:
        try:
            return word in self._any_form(messages, "", generate=False)
        except TemplateRefusal:
            return False

    def _rendered(self, messages: Sequence[Message], tools: str, *, generate: bool) -> str:
        if messages and messages[0].role == "system" and self.folds_system:
            messages = folded(messages)
        return self._any_form(messages, tools, generate=generate)

    def _any_form(self, messages: Sequence[Message], tools: str, *, generate: bool) -> str:
        """Render with a call's arguments as an object, or as text where the template wants that."""
        forms = (False, True) if any(message.tool_calls for message in messages) else (False,)
        for as_text in forms:
            try:
                return self._render(
                    messages, tools, generate=generate, in_parts=self._in_parts, as_text=as_text
                )
            except TemplateRefusal:
                if as_text == forms[-1]:
                    raise
        raise AssertionError("one form was tried last")

    def _render(
        self, messages: Sequence[Message], tools: str, *, generate: bool, in_parts: bool, as_text: bool
    ) -> str:
        import jinja2

        turns = [self._as_dict(message, in_parts, as_text) for message in messages]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    turns,
                    chat_template=self.wording,
                    tools=json.loads(tools) if tools else None,
                    tokenize=False,
                    add_generation_prompt=generate,
                    **self.options,
                )
            )
        except (jinja2.TemplateError, TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise TemplateRefusal(f"the chat template refuses: {str(error)[:80]}") from error

    def _as_dict(self, message: Message, in_parts: bool, as_text: bool) -> dict[str, Any]:
        said = f"{message.content}\n\n{message.context}" if message.context else message.content
        content = self._guarded(said)
        turn: dict[str, Any] = {
            "role": message.role,
            "content": [{"type": "text", "text": content}] if in_parts else content,
        }
        if message.reasoning:
            turn["reasoning_content"] = self._guarded(message.reasoning)
        if message.tool_calls:
            turn["tool_calls"] = [
                {
                    "type": "function",
                    "id": call.call_id,
                    "function": {"name": call.name, "arguments": self._arguments(call.arguments, as_text)},
                }
                for call in message.tool_calls
            ]
        if message.tool_name:
            turn["name"] = message.tool_name
        if message.call_id:
            turn["tool_call_id"] = message.call_id
        return turn

    def _arguments(self, text: str, as_text: bool) -> Any:
        guarded = self._guarded(text)
        if as_text:
            return guarded
        try:
            return json.loads(guarded)
        except ValueError:
            return guarded

    def _guarded(self, content: str) -> str:
        """Stand a guard in for each special token that a row spells out, so that it stays text."""
        if GUARD.search(content):
            raise TemplateRefusal("the text holds U+10FFFE, which is no character")
        return self.spelt.sub(lambda match: f"\U0010fffe{self.numbers[match[0]]}\U0010fffe", content)


def choose_options(
    tokenizer: Any,
    wording: str,
    special_tokens: Sequence[str],
    conversations: Sequence[tuple[Sequence[Message], str, Sequence[int]]],
) -> dict[str, Any]:
    """Find the thinking mode in which a template words the most of some conversations.

    A reasoning model's template may open every answer with a thought that these answers do not have; such
    templates can be told so. The same must then be told to the server, and is written down with the run.

    Args:
        tokenizer: As in `Chat`.
        wording: As in `Chat`.
        special_tokens: As in `Chat`.
        conversations: Messages, tools and learnt turns of some rows.

    Returns:
        Variables for the template; none where it does without.
    """
    best: tuple[int, Mapping[str, Any]] = (-1, {})
    for options in _THINKING:
        chat = Chat(tokenizer, wording, special_tokens, options)
        fitting = sum(chat.fits(merged(messages), tools, learnt) for messages, tools, learnt in conversations)
        if fitting > best[0]:
            best = (fitting, options)
        if fitting == len(conversations):
            break
    return dict(best[1])


def folded(messages: Sequence[Message]) -> list[Message]:
    """Put a leading system message at the head of the first user turn."""
    system, *rest = messages
    for place, message in enumerate(rest):
        if message.role == "user":
            told = Message(
                role="user", content=f"{system.content}\n\n{message.content}", context=message.context
            )
            return [*rest[:place], told, *rest[place + 1 :]]
    return list(rest)


def _function(tool: Any) -> Mapping[str, Any]:
    """The schema of a tool, with or without OpenAI's wrapper around it."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    return inner if isinstance(inner, Mapping) else {}


def _common_length(first: str, second: str) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
