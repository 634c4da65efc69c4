"""An independent reader of the pages: html5lib, which parses as browsers do and here refuses any error."""

from collections.abc import Callable
from typing import Any

import html5lib
import pytest


@pytest.fixture
def parse() -> Callable[[str], Any]:
    """Parse a page or a fragment strictly into an element tree without namespaces."""

    def parsed(markup: str) -> Any:
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        if markup.startswith("<!doctype"):
            return parser.parse(markup)
        root = parser.parseFragment(markup, container="div")
        for element in root.iter():
            if isinstance(element.tag, str):  # html5lib keeps the namespace of SVG
                element.tag = element.tag.rsplit("}", 1)[-1]
        return root

    return parsed


@pytest.fixture
def hostile() -> list[str]:
    """Texts that try to run, to break out of an attribute, or to lie about what they are."""
    return [
        "<script>alert(1)</script>",
        '"><svg onload=alert(1)>',
        "' onmouseover='alert(1)",
        "</style><img src=x onerror=alert(1)>",
        "<!--",
        "]]>",
        "&lt;b&gt;&#x3c;",
        "javascript:alert(1)",
        "{{ 7 * 7 }} ${7 * 7}",
        "abc\u202edcb",  # right-to-left override
        "a\u2066b\u2069c",  # isolates
        "NUL\x00NUL",
        "\x1b[31mred\x1b[0m",  # ANSI
        "\x07\x08\x7f\x9b",
        "\ud800",  # half a surrogate pair: no file can hold it
        "\ufffe\uffff",
        "line\r\nline\rline",
    ]
