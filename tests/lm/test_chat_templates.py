"""Chat templates of real model families, as TRL ships them: what is learnt is what the assistant says.

The oracle is transformers' own apply_chat_template: the text that a server sends before an answer, and the
text with the answer. No model is needed: the starter's tokenizer stands in, with each template's special
tokens.
"""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lorascope.lm.segments import TemplateRefusal
from lorascope.lm.template import Encoded, Template
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message, ToolCall

pytestmark = pytest.mark.end_to_end


def _folder() -> Path:
    found = importlib.util.find_spec("trl")  # of a package it reads nothing but its place
    assert found is not None and found.origin is not None, "trl is a part of the extra dev"
    return Path(found.origin).parent / "chat_templates"


# The variants for training differ in marks that TRL reads, not in what they write.
NAMES = sorted(path.stem for path in _folder().glob("*.jinja") if not path.stem.endswith("_training"))
_SPECIAL = re.compile(
    r"<\|[^|<>\s]+\|>|<\uff5c[^\uff5c<>]+\uff5c>|<start_of_turn>|<end_of_turn>|<turn\|>|<\|turn>"
)
_MORE_SPECIAL = ["<|tool_response>", "<end_of_utterance>", "</s>"]

TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string", "description": "Where."}},
                    "required": ["city"],
                },
            },
        }
    ]
)
CALL = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="abcdefghi")


def user(content: str) -> Message:
    return Message(role="user", content=content)


def assistant(content: str, **more: Any) -> Message:
    return Message(role="assistant", content=content, **more)


ONE = [user("Where?"), assistant("There.")]
SYSTEM = [Message(role="system", content="Be terse."), *ONE]
TWO = [*ONE, user("And when?"), assistant("Then.")]
THOUGHT = [
    user("Where?"),
    assistant("There.", reasoning="Hm, one."),
    user("When?"),
    assistant("Then.", reasoning="Two."),
]
CALLED = [
    user("How warm is Rome?"),
    assistant("", tool_calls=(CALL,)),
    Message(role="tool", content="19 degrees", tool_name="weather", call_id="abcdefghi"),
    assistant("It is 19."),
]
CASES = {
    "one": (ONE, ""),
    "system": (SYSTEM, ""),
    "two": (TWO, ""),
    "thought": (THOUGHT, ""),
    "called": (CALLED, TOOLS),
}

# What these templates cannot say, refused with the reason: their own rules, or a thought that every answer
# must begin with and no training text has.
NO_TOOLS = [
    "cohere",
    "cohere2",
    "gemma",
    "gemma3",
    "idefics3",
    "lfm2",
    "llama3",
    "llava_next",
    "phi3",
    "phi3_5",
    "qwen2_5_vl",
    "smolvlm",
]
ALWAYS_THINKS = ["deepseek_r1_distill", "deepseekv3"]
REFUSED = {(name, "called") for name in NO_TOOLS} | {(name, case) for name in ALWAYS_THINKS for case in CASES}


@pytest.fixture
def made(request: pytest.FixtureRequest) -> tuple[str, Any, str]:
    """Name of a template, a tokenizer with its special tokens, its wording."""
    from lorascope.lm.load import load_tokenizer
    from lorascope.starter import base_folder

    name = request.param
    wording = (_folder() / f"{name}.jinja").read_text(encoding="utf-8")
    tokenizer = load_tokenizer(str(base_folder()))
    tokens = sorted({*_SPECIAL.findall(wording), *(one for one in _MORE_SPECIAL if one in wording)})
    tokenizer.add_special_tokens({"additional_special_tokens": tokens, "bos_token": "<bos>"})
    tokenizer.chat_template = wording
    return name, tokenizer, wording


def as_served(
    tokenizer: Any, template: Template, messages: list[Message], tools: str, *, answer: bool
) -> str:
    """What transformers makes of plain dictionaries, as a server would send them."""
    turns = []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.reasoning:
            turn["reasoning_content"] = message.reasoning
        if message.tool_calls:
            call = {"name": "weather", "arguments": {"city": "Rome"}}
            turn["tool_calls"] = [{"type": "function", "id": "abcdefghi", "function": call}]
        if message.role == "tool":
            turn |= {"name": "weather", "tool_call_id": "abcdefghi"}
        turns.append(turn)
    if template.folds_system and turns[0]["role"] == "system":
        turns[1]["content"] = f"{turns[0]['content']}\n\n{turns[1]['content']}"
        turns = turns[1:]
    if template._chat is not None and template._chat._in_parts:
        turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    given = json.loads(tools) if tools else None
    return str(
        tokenizer.apply_chat_template(
            turns, tools=given, tokenize=False, add_generation_prompt=not answer, **template.options
        )
    )


def learnt_texts(tokenizer: Any, encoded: Encoded) -> list[str]:
    """The stretches of neighbouring targets, decoded."""
    runs: list[list[int]] = [[]]
    for label in encoded.labels:
        if label != IGNORE:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [tokenizer.decode(run) for run in runs if run]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("made", NAMES, indirect=True)
def test_what_is_learnt_is_what_the_assistant_says_and_its_end(made: tuple[str, Any, str], case: str) -> None:
    name, tokenizer, wording = made
    messages, tools = CASES[case]
    template = Template("chat", tokenizer, chat_template=wording).for_conversations([(messages, tools)])
    if (name, case) in REFUSED:
        with pytest.raises(TemplateRefusal):
            template.encode(messages, tools)
        return
    parts = template.encode(messages, tools)
    seen = [turn for part in parts for turn in part.learnt]
    assert seen == [turn for turn, message in enumerate(messages) if message.role == "assistant"]
    for part in parts:
        for turn, learnt in zip(part.learnt, learnt_texts(tokenizer, part), strict=True):
            before = as_served(tokenizer, template, messages[:turn], tools, answer=False)
            full = as_served(tokenizer, template, messages[: turn + 1], tools, answer=True)
            prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
            assert part.input_ids[: len(prompt)] == prompt  # what a server sends is what was trained on
            said = full[len(before) :]
            own = learnt.removesuffix(tokenizer.eos_token) if tokenizer.eos_token not in said else learnt
            assert said.startswith(own.rstrip()), (said, learnt)
            assert messages[turn].content in learnt
            assert tokenizer(learnt, add_special_tokens=False)["input_ids"][-1] in template.stop_ids
            others = [message.content for place, message in enumerate(messages) if place != turn]
            assert not any(other and other in learnt for other in others)


@pytest.mark.parametrize("made", [name for name in NAMES if name not in ALWAYS_THINKS], indirect=True)
def test_thinking_that_a_template_leaves_out_is_said(made: tuple[str, Any, str]) -> None:
    _, tokenizer, wording = made
    template = Template("chat", tokenizer, chat_template=wording).for_conversations([(THOUGHT, "")])
    for part in template.encode(THOUGHT):
        shown = ["Hm, one." in text or "Two." in text for text in learnt_texts(tokenizer, part)]
        assert ("reasoning" in part.omitted) is (not all(shown))
