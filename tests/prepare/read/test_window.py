import io
import re

import pytest

from lorascope.prepare.read.window import Window


def window(text: str, piece: int = 4) -> Window:
    return Window(io.StringIO(text, newline="").read, piece)


def test_a_place_keeps_its_line_and_what_stands_before_it() -> None:
    held = window("a\n  b\r\n\n\tc")
    for char, line, blanks in (("a", 1, None), ("b", 2, "  "), ("c", 4, "\t")):
        assert held.find(re.compile(char), held.position)
        assert (held.line, held.indentation()) == (line, blanks)
    assert held.num_passed == len("a\n  b\r\n\n\t")


def test_a_match_is_found_across_pieces_and_far_away() -> None:
    held = window("x" * 20_000 + "needle" + "y" * 20_000)
    assert held.find(re.compile("needle"), 0)
    assert held.num_passed == 20_000
    assert held.ahead(6) == "needle"
    assert not held.find(re.compile("absent"), held.position)
    assert held.num_passed == 40_006


@pytest.mark.parametrize("piece", [1, 2, 5, 100])
def test_numbers_are_read_to_their_end(piece: int) -> None:
    for text, value in (("123456 ", 123456), ("-1.5e+10,", -1.5e10), ("12", 12), ("1.25", 1.25)):
        assert window(text, piece).decode() == value


def test_peeking_stays() -> None:
    held = window('{"a": [1, 2, 3]} x', piece=1)
    assert held.peek() == held.decode() == {"a": [1, 2, 3]}
    assert held.ahead(10) == " x"
