"""Text -> markup that is safe to show: everything that is not `Html` is escaped, whoever wrote it."""

import html
import re
from collections.abc import Iterable

Attribute = str | int | float | bool | None

# A browser drops or obeys these: C0 and C1 controls (NUL, ANSI escapes), DEL, bidirectional overrides and
# isolates, surrogates that no file can hold, and two code points that are no characters.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "hr", "input", "link", "meta"})


class Html(str):
    """Markup that is already safe. Added to a plain string it becomes one, and is escaped again."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Make any text safe to stand in markup, inside or outside an attribute.

    Characters that a browser would drop or obey are shown as their code points instead: NUL is [U+0000], an
    ANSI escape [U+001B], a right-to-left override [U+202E]. A reader of training data must see them.

    Args:
        text: `Html`, which is returned unchanged, or anything else, whose `str` is escaped.

    Returns:
        Safe markup that reads as the text.
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(_UNSAFE.sub(_shown, str(text)), quote=True))


def tag(name: str, /, *children: object, **attributes: Attribute) -> Html:
    """Build one element.

    Args:
        name: Tag name.
        children: Its content in order; what is not `Html` is escaped.
        attributes: `class_` for class, `data_x` for data-x. None and False leave the attribute out, True
            gives it no value.

    Returns:
        The element.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Put pieces one after another.

    Args:
        parts: The pieces; what is not `Html` is escaped.
        separator: Text between them, escaped too.

    Returns:
        One piece.
    """
    return Html(escape(separator).join(escape(part) for part in parts))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def _shown(match: re.Match[str]) -> str:
    """The code point of one unsafe character; not every font has control pictures."""
    return f"[U+{ord(match[0]):04X}]"
