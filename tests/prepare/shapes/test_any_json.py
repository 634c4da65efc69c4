"""Whatever a row holds, each shape reads it or names what is wrong: never a crash, never nothing."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow
from lorascope.prepare.shapes.conversation import Conversation, conversations_of
from lorascope.prepare.shapes.detect import detect, find_shape
from lorascope.prepare.shapes.shape import NotChosen, Shape
from lorascope.prepare.shapes.signals import SIGNALS
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.message import ROLES, as_record, message_of

pytestmark = pytest.mark.end_to_end

USER = {"role": "user", "content": "a"}
GOOD = {"role": "assistant", "content": "b"}
TALK = [USER, GOOD]
ROWS: dict[str, Any] = {
    "alpaca": {"instruction": "a", "input": "", "output": "b"},
    "pairs": {"prompt": "a", "completion": "b"},
    "sides": {"prompt": [USER], "completion": [GOOD]},
    "messages": {"messages": TALK, "tools": "[]"},
    "bare messages": TALK,
    "sharegpt": {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    "exchanges": {"conversation": [{"human": "a", "assistant": "b"}], "images": ["x"]},
    "compared": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "compared, no prompt": {"chosen": TALK, "rejected": TALK},
    "judged": {"messages": TALK, "label": True},
    "judged pair": {"prompt": "a", "completion": "b", "label": True},
    "two lists": {"input": ["a"], "output": ["b"]},
    "one list": ["a", "b"],
    "column of a list": {"dialog": ["a", "b"]},
    "text": {"text": "a"},
    "seed tasks": {"instruction": "a", "instances": [{"input": "", "output": "b"}]},
    "intents": {"tag": "t", "patterns": ["a"], "responses": ["b"]},
    "squad": {"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": [{"text": "c"}]}]}]},
    "squad rows": {"context": "a", "question": "b", "answers": {"text": ["c"]}},
}  # fmt: skip
SHAPES = {name: detect([row], "x") for name, row in ROWS.items()}
SHAPES["named"] = find_shape(
    [{"p": {"q": "a"}, "c": "", "r": "", "a": "b"}],
    "x",
    columns=ColumnsSection(prompt="p.q", context="c", reasoning="r", answer="a"),
)

TEXTS = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=3),  # halves of characters among them
    st.sampled_from(
        ["", " ", "user", "assistant", "tool", "function_call", "system", "text", "tool_call", "<noinput>",
         "NULL", "{{name}}", "<image>", "[]", "{}", "[{", '{"name": "f"}', '{"name": "f", "arguments": 3}',
         '[{"role": "user", "content": "a"}]', "\ud83d"]
    ),
)  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, 0.0, 1.0]))
KEYS = st.one_of(
    st.sampled_from(
        ["role", "content", "from", "value", "type", "text", "name", "arguments", "function", "tool_calls",
         "train", "weight", "loss_weight", "reasoning", "input", "output", "question", "answers", "context",
         "qas", "human", "assistant", "parameters", "properties", "id", "q", "tool_call_id"]
    ),
    st.text(max_size=3),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
ANY = st.one_of(TEXTS, NUMBERS, st.none(), VALUES)  # on its own, VALUES is nearly always a list or an object
TURN = st.fixed_dictionaries(
    {
        "role": st.one_of(st.sampled_from(["user", "assistant", "tool", "system", "function_call"]), TEXTS),
        "content": ANY,
    },
    optional={"tool_calls": ANY, "train": ANY, "reasoning": ANY, "tool_call_id": ANY, "function_call": ANY},
)
TURNS = st.lists(st.one_of(st.sampled_from(TALK), TURN, ANY), max_size=4)
CODE = re.compile(r"[a-z][a-z0-9_]*|unknown_(role|part)_.*")


def check(shape: Shape, row: Any) -> None:
    found = conversations_of(SourceRow(1, row), shape, "rows.json", 1)
    assert found
    for one in found:
        if isinstance(one, BadRow):
            assert CODE.fullmatch(one.reason), one.reason
            one.excerpt.encode()
        elif isinstance(one, Conversation):
            check_conversation(one)
        else:
            assert isinstance(one, NotChosen)


def check_conversation(one: Conversation) -> None:
    """What every later step may rely on."""
    assert one.messages[-1].role == ("text" if len(one.messages) == 1 else "assistant")
    assert any(
        message.train is not False for message in one.messages if message.role in ("assistant", "text")
    )
    assert set(one.odd) <= set(SIGNALS) and list(one.odd) == sorted(set(one.odd))
    for message in one.messages:
        assert message.role in ROLES
        assert message_of(as_record(message)) == message
        json.dumps(as_record(message), ensure_ascii=False).encode()  # no half of a character
        says = message.content.strip() or message.tool_calls
        assert says or message.role in ("system", "tool")
        assert message.train is None or message.role == "assistant"
    one.tools.encode()
    json.dumps(one.labels, ensure_ascii=False).encode()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(value=VALUES)
def test_any_value_is_read_or_named_by_every_shape(value: Any) -> None:
    for shape in SHAPES.values():
        check(shape, value)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(value=st.one_of(ANY, TURNS))
@example("half of a character: \ud83d")
@example([{"role": "user", "content": "\ud83d"}, {"role": "assistant", "content": "b"}])
@example([{"output": "b", "input": "\ud83d"}])
@example({"text": ["\ud83d"]})
@example(["\ud83d", "b"])
def test_a_row_with_any_value_in_one_of_its_columns_is_read_or_named(value: Any) -> None:
    for name, row in ROWS.items():
        if isinstance(row, dict):
            for column in (*row, "tools", "system", "history", "label", "images"):
                check(SHAPES[name], {**row, column: value})


@settings(max_examples=300, deadline=None, derandomize=True)
@given(value=TURNS)
def test_any_turns_are_read_or_named(value: Any) -> None:
    check(SHAPES["messages"], {"messages": value})
    check(SHAPES["bare messages"], value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rows=st.lists(st.one_of(VALUES, st.sampled_from(list(ROWS.values()))), max_size=4))
def test_any_rows_have_a_shape_or_an_explanation(rows: list[Any]) -> None:
    try:
        shape = detect(rows, "rows.json")
    except DataError as error:
        assert "fix:" in error.message
        return
    for row in rows:
        check(shape, row)
