import json
import shlex
from typing import Any

import pytest

from lorascope.errors import ConfigError, DataError
from lorascope.prepare.shapes.detect import FAMILIES, detect, find_shape, shape_named
from lorascope.run.data_sections import ColumnsSection
from lorascope.run.recipe import with_overrides

ALPACA = {"instruction": "a", "output": "b"}
MESSAGES = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def refusal(rows: list[Any]) -> str:
    with pytest.raises(DataError) as caught:
        detect(rows, "rows.json")
    return caught.value.message


def test_unknown_columns_are_shown_with_an_example_and_a_setting_to_try() -> None:
    message = refusal(
        [{"frage_1": None, "id": 7}, {"frage_1": "Wie hoch ist der h\u00f6chste Berg der Erde?", "id": 8}]
    )
    assert 'found frage_1 ("Wie hoch ist der h\u00f6chste Berg..."), id (7)' in message
    assert "where: rows.json" in message
    rows = [
        {"question": "who is it", "schema": "(Person)-[:WROTE]->(Book)" * 3, "cypher": "MATCH (n) RETURN n"}
    ]
    message = refusal(rows)
    assert 'cypher ("MATCH (n) RETURN n")' in message
    assert "--set 'prepare.columns={prompt: question, context: schema, answer: cypher}'" in message


def test_the_setting_that_is_proposed_works() -> None:
    rows = [{"Left side": "one two", "\u53f3": "three four"}]
    option, setting = shlex.split(refusal(rows).partition("perhaps: ")[2])
    assert option == "--set"
    named = with_overrides({}, [setting])["prepare"]["columns"]
    shape = find_shape(rows, "rows.json", columns=ColumnsSection(**named))
    assert shape.read(rows[0]) != ["missing_prompt"]
    assert not isinstance(shape.read(rows[0])[0], str)


def test_many_columns_are_not_all_shown() -> None:
    message = refusal([{f"c{number}": number for number in range(20)}])
    assert "c7 (7) and 12 more" in message
    assert "give rows with texts" in message


@pytest.mark.parametrize("rows", [[], ["one", "two"], [3], [None, True]])
def test_rows_without_columns_are_refused(rows: list[Any]) -> None:
    assert "no rows with named columns" in refusal(rows)


def test_columns_are_found_though_some_of_the_first_rows_are_broken() -> None:
    assert detect([None, 3, {}, ALPACA], "x").name == "alpaca"
    assert detect([{"messages": None}, {"messages": 3}, MESSAGES, MESSAGES], "x").name == "messages"


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"text": "a", "instruction": "b", "output": "c"}, "alpaca"),
        ({"prompt": "a", "prompt_id": "x", **MESSAGES}, "messages"),
        ({"instruction": "a", "input": "b", "output": "c", "chosen": "d", "rejected": "e"}, "preference"),
        ({"instruction": "a", "instances": [{"input": "", "output": "b"}]}, "seed_tasks"),
        ({"context": "a", "question": "b", "answers": {"text": ["c"]}, "title": "d"}, "squad"),
        ({"context": "a", "question": "b", "answer": "c"}, "pairs"),
    ],
)
def test_of_several_shapes_that_fit_the_richer_is_taken(row: Any, name: str) -> None:
    assert detect([row], "x").name == name


def test_the_user_may_name_the_shape() -> None:
    row = {**MESSAGES, **ALPACA}
    assert find_shape([row], "x").name == "messages"
    assert find_shape([row], "x", named="alpaca").name == "alpaca"
    assert find_shape([row], "x", named="auto").name == "messages"


def test_a_name_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        shape_named("sharegtp", [ALPACA], "x")
    assert 'prepare.format: "sharegtp" is no shape' in caught.value.message
    assert 'did you mean "sharegpt"?' in caught.value.message


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "alpaca"])
def test_a_shape_that_the_rows_are_not_of_is_refused_with_what_it_needs(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shape_named(name, [ALPACA], "rows.json")
    assert f"the rows are not of shape {name}" in caught.value.message
    assert FAMILIES[name][1] in caught.value.message
    assert "use prepare.format: alpaca" in caught.value.message


def test_a_column_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        find_shape(
            [{"question": "a", "answer": "b"}],
            "x",
            columns=ColumnsSection(prompt="questoin", answer="answer"),
        )
    assert 'prepare.columns: prompt: there is no column "questoin"' in caught.value.message
    assert 'did you mean "question"?' in caught.value.message


@pytest.mark.parametrize(
    "columns", [ColumnsSection(), ColumnsSection(prompt="question"), ColumnsSection(answer="answer")]
)
def test_columns_that_do_not_say_what_is_learnt_are_refused(columns: ColumnsSection) -> None:
    with pytest.raises(ConfigError, match="does not say what is learnt"):
        find_shape([{"question": "a", "answer": "b"}], "x", columns=columns)


def test_the_user_may_name_the_column_of_messages() -> None:
    row = {"talk": json.dumps(MESSAGES["messages"]), "abilities": [{"name": "f"}], "say": "be brief"}
    columns = ColumnsSection(messages="talk", tools="abilities", system="say")
    (found,) = find_shape([row], "x", columns=columns).read(row)
    assert not isinstance(found, str)
    assert [message.role for message in found.messages] == ["system", "user", "assistant"]  # type: ignore[union-attr]
    assert json.loads(found.tools)[0]["function"] == {"name": "f"}  # type: ignore[union-attr]


def test_one_odd_row_does_not_decide_what_all_are() -> None:
    good = [{"instruction": f"a{n}", "input": "", "output": "b"} for n in range(20)]
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for odd in ({**good[0], "messages": None}, chat):
        shape = detect([*good, odd], "rows.json")
        assert shape.name == "alpaca"
        assert sum(not isinstance(shape.read(row)[0], str) for row in good) == 20
    assert detect([good[0], *[chat] * 20], "rows.json").name == "messages"


def test_a_table_without_a_header_is_told_how_to_be_read() -> None:
    row = {"garden lantern stone and water": "market", "paper boat on the river": "sail"}
    with pytest.raises(DataError) as caught:
        detect([row], "rows.tsv")
    assert "header: false" in caught.value.message
    assert "column_1" in caught.value.message
