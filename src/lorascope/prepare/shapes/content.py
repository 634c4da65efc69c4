"""The content of a turn, as text or as typed parts -> its text, its reasoning and its tool calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.prepare.read import excerpt_of
from lorascope.prepare.shapes.cells import Malformed, encodable_text
from lorascope.prepare.shapes.tools import calls_in
from lorascope.run.message import ToolCall

_TEXT = ("text", "input_text", "output_text")
_REASONING = ("reasoning", "thinking")
_CALLS = ("tool_call", "tool_use", "function_call")
_VALUES = ("text", "value", "content", "reasoning", "thinking")
_NOT_TEXT = {
    "image": "image_content",
    "image_url": "image_content",
    "input_image": "image_content",
    "audio": "audio_content",
    "audio_url": "audio_content",
    "input_audio": "audio_content",
    "video": "video_content",
    "video_url": "video_content",
    "file": "file_content",
    "input_file": "file_content",
    "document": "file_content",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a turn holds; texts are "" where it holds none."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


def content_of(value: Any) -> Content:
    """Read the content of a turn.

    Args:
        value: Text; None; or a list of parts, each a text or {type, text | value}. Parts of the same kind are
            put together with nothing between them, as chat templates write them.

    Raises:
        Malformed: wrong_type_content, lone_surrogate_content, part_without_type, unknown_part_..., or
            image_content and the like: a model that reads text alone cannot learn from it.
    """
    if value is None:
        return Content()
    if isinstance(value, str):
        return Content(text=encodable_text(value, "content"))
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise Malformed("wrong_type_content")
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    for part in value:
        kind = _kind(part)
        if kind in _CALLS:
            calls += calls_in(_call(part))
        else:
            (reasoning if kind in _REASONING else text).append(_text(part))
    return Content(text="".join(text), reasoning="".join(reasoning), calls=tuple(calls))


def _kind(part: Any) -> str:
    if isinstance(part, str):
        return "text"
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str):
        raise Malformed("part_without_type")
    if kind in _NOT_TEXT:
        raise Malformed(_NOT_TEXT[kind])
    if kind not in (*_TEXT, *_REASONING, *_CALLS):
        raise Malformed(f"unknown_part_{excerpt_of(kind)[:20]}")
    return kind


def _text(part: Any) -> str:
    found = part
    if isinstance(part, Mapping):
        found = next((part[key] for key in _VALUES if part.get(key) is not None), None)
    return encodable_text(found, "content")


def _call(part: Mapping[str, Any]) -> Any:
    """What the call of a part is: under a key of its own, or the part itself."""
    return next((part[key] for key in ("value", *_CALLS) if part.get(key) is not None), part)
