"""Token strips: what is learned is seen, and nothing invisible is left."""

from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pages.tokens import token_strip, visible

Parse = Callable[[str], Any]


def tokens_of(root: Any) -> list[Any]:
    (box,) = [e for e in root.iter("div") if e.attrib.get("class") == "ls-tokens"]
    return list(box)


def test_each_token_says_its_id_its_place_and_its_part(parse: Parse) -> None:
    root = parse(
        token_strip(
            ["Q", " A", "<end>"], is_target=[False, True, True], ids=[7, 8, 0], stop_ids={0}, label="line 3"
        )
    )
    first, second, last = tokens_of(root)
    assert (first.text, first.attrib["title"]) == ("Q", "id 7, position 0, read, not learned")
    assert (second.text, second.attrib["title"]) == ("\u00b7A", "id 8, position 1, learned")
    assert last.attrib["title"] == "id 0, position 2, learned, stop token"
    assert [t.attrib["class"] for t in (first, second, last)] == [
        "ls-token",
        "ls-token ls-target",
        "ls-token ls-target ls-stop",
    ]


def test_the_strip_counts_its_tokens(parse: Parse) -> None:
    root = parse(token_strip(["a"] * 3, is_target=[False, True, True], ids=[1, 2, 3], label="line 3"))
    assert "line 3 3 tokens, 2 of them learned" in "".join(root.itertext())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" a  b", "\u00b7a\u00b7\u00b7b"),
        ("\n", "\u21b5\n"),
        ("\t", "\u21e5"),
        ("\r\n", "[U+000D]\u21b5\n"),
        ("\u200b\u00a0\ufeff", "[U+200B][U+00A0][U+FEFF]"),
        ("\u202e\x00\x1b", "[U+202E][U+0000][U+001B]"),
        ("\u2028", "[U+2028]"),
        ("<b>", "&lt;b&gt;"),
        ("\u5317\u4eac", "\u5317\u4eac"),
    ],
)
def test_nothing_invisible_is_left(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_empty_token_is_still_seen(parse: Parse) -> None:
    (token,) = tokens_of(parse(token_strip([""], is_target=[True], ids=[5])))
    assert token.text == "\u2205"


def test_an_example_without_tokens_says_so(parse: Parse) -> None:
    assert "0 tokens, 0 of them learned" in "".join(parse(token_strip([], is_target=[], ids=[])).itertext())


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens, 1 target marks, 2 ids"):
        token_strip(["a", "b"], is_target=[True], ids=[1, 2])


def test_hostile_tokens_stay_text(parse: Parse, hostile: list[str]) -> None:
    size = len(hostile)
    root = parse(token_strip(hostile, is_target=[True] * size, ids=list(range(size)), label=hostile[0]))
    assert len(tokens_of(root)) == size
    assert all(len(token) == 0 for token in tokens_of(root))
