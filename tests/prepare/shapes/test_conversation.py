import pickle
from typing import Any

from lorascope.prepare.read import BadRow, SourceRow
from lorascope.prepare.shapes.conversation import Conversation, conversations_of, labels_of
from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import NotChosen, Shape

ALPACA = {"instruction": "a", "output": "b"}
TASK = {"instruction": "a", "instances": [{"output": "b"}, {"output": ""}, {"output": "c"}], "topic": "sea"}


def read(row: Any, shape: Shape | None = None) -> list[Conversation | BadRow | NotChosen]:
    return conversations_of(SourceRow(7, row), shape or detect([row], "x"), "rows.json", 3)


def test_a_row_knows_its_place() -> None:
    (one,) = read(ALPACA)
    assert isinstance(one, Conversation)
    assert (one.example_id, one.file, one.line, one.row, one.part) == ("rows.json#3", "rows.json", 7, 3, 0)


def test_parts_of_a_row_are_counted_from_one_and_keep_their_number() -> None:
    first, bad, last = read(TASK)
    assert isinstance(first, Conversation) and isinstance(last, Conversation)
    assert (first.example_id, last.example_id) == ("rows.json#3.1", "rows.json#3.3")
    assert first.labels == last.labels == {"topic": "sea"}
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.row, bad.reason) == (7, 3, "empty_output")
    assert bad.excerpt.startswith('part 2: {"instruction": "a"')


def test_a_row_that_could_hold_several_and_holds_one_has_no_part() -> None:
    (one,) = read({**TASK, "instances": [{"output": "b"}]})
    assert isinstance(one, Conversation)
    assert one.example_id == "rows.json#3"


def test_a_malformed_row_shows_its_beginning() -> None:
    assert read({"instruction": "a", "output": " "}, detect([ALPACA], "x")) == [
        BadRow(7, "empty_output", '{"instruction": "a", "output": " "}', 3)
    ]
    assert read(None, detect([ALPACA], "x")) == [BadRow(7, "not_an_object", "null", 3)]


def test_an_answer_that_was_turned_down_is_neither_kept_nor_malformed() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert read({"messages": messages, "label": False}) == [NotChosen()]


def test_short_columns_beside_the_text_become_labels() -> None:
    (one,) = read(
        {
            **ALPACA,
            "input": "",
            "topic": "sea",
            "level": 3,
            "flag": True,
            "nan": float("nan"),
            "long": "x" * 61,
            "list": [1],
            "odd": "\ud83d",
            "odd name \ud83d": "a",
            "": "0",
            "none": None,
        }
    )
    assert isinstance(one, Conversation)
    assert one.labels == {"topic": "sea", "level": "3", "flag": "True"}


def test_a_column_that_only_repeats_is_no_label() -> None:
    (one,) = read({**ALPACA, "text": "Q a A b", "topic": "sea"})
    assert isinstance(one, Conversation)
    assert one.labels == {"topic": "sea"}
    assert labels_of(["a"], ()) == {}


def test_a_row_that_is_nested_deeper_than_can_be_shown_is_malformed() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for shape in (detect([ALPACA], "x"), detect([["a", "b"]], "x"), detect([TASK], "x")):
        for row in (deep, {"instruction": deep, "instances": deep, "tools": deep}):
            (bad,) = read(row, shape)
            assert isinstance(bad, BadRow)
            assert bad.excerpt


def test_a_shape_can_be_sent_to_another_process() -> None:
    for row in (ALPACA, TASK):
        shape = detect([row], "x")
        assert pickle.loads(pickle.dumps(shape)).read(row) == shape.read(row)
