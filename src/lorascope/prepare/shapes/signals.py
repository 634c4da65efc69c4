"""What is odd about a conversation that can be used: named, counted by `check`, never dropped for it.

no_input             an input that says there is none ("<noinput>") was taken for none
null_like_prompt     a prompt that is nothing but "null", "N/A", "undefined" and the like
null_like_context    the same for the input beside a prompt
null_like_answer     the same for an answer, "<nooutput>" included
placeholder          {{name}} or the like stands in a text, waiting to be filled in
replacement_characters  the mark stands in it that takes the place of bytes which could not be read
mojibake             letters as UTF-8 gives them when it is read as Latin-1
html_entities        &quot;, &#39; and the like stand in a text that is no HTML
spaced_out           a space stands between any two characters that are not ASCII, as in data cut to tokens
joined_user_turns    two turns of the user in a row were joined, a blank line between them
joined_system_turns  the same for system prompts
result_without_call  a tool's result follows a turn that called no tool
null_in_arguments    a call has an argument that is null, perhaps only because another row has one
trains_other_turns   a turn that is not the assistant's asks to be learnt, and is not
"""

import json
import re
from collections.abc import Iterable, Sequence

from lorascope.run.message import Message

SIGNALS = (
    "no_input",
    "null_like_prompt",
    "null_like_context",
    "null_like_answer",
    "placeholder",
    "replacement_characters",
    "mojibake",
    "html_entities",
    "spaced_out",
    "joined_user_turns",
    "joined_system_turns",
    "result_without_call",
    "null_in_arguments",
    "trains_other_turns",
)
"""Every name that `odd` may hold."""

_LONGEST_LITERAL = 24
_NOT_LETTERS = re.compile(r"[\W_]+")
_NULL_LIKE = frozenset(
    ["null", "none", "nil", "nan", "na", "undefined", "noinput", "nooutput", "noanswer", "noresponse"]
)
# All of the 58 spellings in two Alpaca files stand beside an instruction that needs no input.
_NO_INPUT = re.compile(r"noinput(needed|required|provided|given|necessary)?")
_PLACEHOLDER = re.compile(r"(?<!\$)\{\{\s*[^\W\d][\w .-]*\}\}")
_ENTITY = re.compile(r"&(?:#\d{2,5}|#x[0-9a-fA-F]{2,4}|quot|amp|apos|nbsp|lt|gt);")
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac")
_NAMES = {"user": "null_like_prompt", "assistant": "null_like_answer"}


def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text.casefold())


def is_null_like(text: str) -> bool:
    """Whether a text is nothing but a word for "no value"; it may still be the right answer."""
    return len(text) <= _LONGEST_LITERAL and _letters(text) in _NULL_LIKE


def says_no_input(text: str) -> bool:
    """Whether an input says that there is none, as in "<noinput>", "No Input" or "No input needed."."""
    return len(text) <= _LONGEST_LITERAL and _NO_INPUT.fullmatch(_letters(text)) is not None


def has_placeholder(text: str) -> bool:
    """Whether a text holds a place to be filled in, as in "I am {{name}}"; ${{ }} is code of workflows."""
    return "{{" in text and _PLACEHOLDER.search(text) is not None


def is_spaced_out(text: str) -> bool:
    """Whether a space stands between any two characters of a text, five or more, most of them not ASCII."""
    if text[1:2] != " " or len(text) < 9 or not text[1::2].isspace():
        return False
    letters = text[::2]  # "2 + 3 x 4" is meant so
    return sum(not letter.isascii() for letter in letters) > len(letters) / 2


def _has_null(arguments: str) -> bool:
    return "null" in arguments and None in json.loads(arguments).values()


def signals_of(messages: Sequence[Message]) -> Iterable[str]:
    """Name what is odd about the texts of a conversation; a name may come twice."""
    called = False
    for message in messages:
        yield from text_signals(message.content, _NAMES.get(message.role))
        if message.context:
            yield from text_signals(message.context, "null_like_context")
        if message.role == "tool" and not called:
            yield "result_without_call"
        if message.tool_calls and any(_has_null(call.arguments) for call in message.tool_calls):
            yield "null_in_arguments"
        called = bool(message.tool_calls) or (called and message.role == "tool")


def text_signals(text: str, null_like: str | None = None) -> tuple[str, ...]:
    """Name what is odd about one text.

    Args:
        text: What somebody says.
        null_like: What it is called where the text is nothing but a word for "no value"; None does not ask.
    """
    plain = text.isascii() or not ("\ufffd" in text or _MOJIBAKE.search(text))
    if "{{" not in text and text[1:2] != " " and len(text) > _LONGEST_LITERAL and plain and "&" not in text:
        return ()  # as nearly all are
    found = {
        "placeholder": has_placeholder(text),
        "replacement_characters": "\ufffd" in text,
        "mojibake": not plain and _MOJIBAKE.search(text) is not None,
        "html_entities": "&" in text and "<" not in text and _ENTITY.search(text) is not None,
        "spaced_out": is_spaced_out(text),
        null_like: null_like is not None and is_null_like(text),
    }
    return tuple(name for name, is_so in found.items() if name and is_so)
