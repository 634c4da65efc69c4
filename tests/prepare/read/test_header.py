from pathlib import Path

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read.header import has_header, names_of

LONG = "a text of more than eighty characters, such as no column of any table was ever called by anybody"


@pytest.mark.parametrize(
    ("first", "beneath"),
    [
        (["a", "b"], [["c", "d"], ["e", "f"]]),  # nothing tells names from short texts, so names they are
        (["What is it?", "Paris"], [["Why?", "Rome"], ["Who?", "Oslo"]]),
        (["year", "2019"], [["a", "b"], ["c", "d"]]),  # a number, but above texts
        (["id", "1"], [["7", "2"], ["8", "3"]]),  # a usual name decides
        ([LONG, "x"], [["yes", "y"], ["no", "z"]]),  # a question of a survey, above short answers
        (["1", "2"], []),
        (["1", "2"], [["3", "4"]]),  # one row shows no habit
        (["", "x"], [["", "a"], ["", "b"]]),
        (["same"], [["same"], ["same"]]),
    ],
)
def test_a_header_is_assumed_without_evidence_against_it(first: list[str], beneath: list[list[str]]) -> None:
    assert has_header(first, beneath)


@pytest.mark.parametrize(
    ("first", "beneath"),
    [
        (["a", "1"], [["b", "2"], ["c", "-3.5"]]),
        (["x", LONG], [["y", LONG + "b"], ["z", LONG + "c"]]),
        (["so good", "positive"], [["bad", "negative"], ["fine", "positive"], ["fair", "positive"]]),
    ],
)
def test_a_first_row_like_the_others_is_no_header(first: list[str], beneath: list[list[str]]) -> None:
    assert not has_header(first, beneath)


def test_names_are_trimmed_and_gaps_among_them_named() -> None:
    assert names_of(Path("a.csv"), [" q ", "", "a", " "]) == ("q", "", "a", "column_4")
    with pytest.raises(DataError, match='column "a" stands twice'):
        names_of(Path("a.csv"), ["a", "b", " a"])
