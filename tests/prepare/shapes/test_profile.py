from typing import Any

import pytest

from lorascope.prepare.shapes.profile import Profile, kind_of, normal_name


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, ""),
        ("", ""),
        (" \n", ""),
        ([], ""),
        ("a", "text"),
        ('[{"role": "user"}]', "text"),
        (True, "bool"),
        (3, "number"),
        (0.5, "number"),
        ({}, "object"),
        ({"a": 1}, "object"),
        ({"role": "user"}, "turn"),
        ([{"role": "user"}], "turns"),
        ([{"from": "human", "value": "a"}], "turns"),
        ([{"human": "a", "assistant": "b"}], "exchanges"),
        ([{"input": "a", "output": "b"}], "exchanges"),
        ([{"context": "a"}], "objects"),
        (["a", "b"], "texts"),
        (["a", 1], "list"),
        ([["a"]], "list"),
        (b"a", ""),
    ],
)
def test_each_value_has_its_kind(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_names_are_compared_without_case_blanks_and_hyphens() -> None:
    assert normal_name(" Source Text ") == normal_name("source-text") == "source_text"


def test_columns_come_in_the_order_in_which_they_are_found() -> None:
    profile = Profile([{"b": 1}, 3, None, {"a": 2, "b": 3}])
    assert profile.columns == ("b", "a")
    assert profile.values("b") == [1, 3]
    assert Profile([]).columns == ()


def test_a_column_is_found_as_the_file_writes_it() -> None:
    profile = Profile([{"Prompt ": "a", "Answer": 3}])
    assert profile.find("prompt") == "Prompt "
    assert profile.find("question", "prompt") == "Prompt "
    assert profile.find("answer", kinds=("text",)) is None
    assert profile.find("nothing") is None


def test_most_values_decide_what_a_column_holds() -> None:
    profile = Profile([{"a": None}, {"a": 3}, {"a": "x"}, {"a": "y"}, {"a": ""}, {}])
    assert profile.kind("a") == "text"
    assert profile.kind("b") == ""


def test_a_table_may_write_turns_as_text() -> None:
    profile = Profile([{"messages": '[{"role": "user", "content": "a"}]', "note": "[not json"}])
    assert profile.chat_kind("messages") == "turns"
    assert profile.kind("messages") == profile.chat_kind("note") == "text"


def test_a_column_that_repeats_the_others_is_redundant() -> None:
    rows = [
        {
            "q": f"ask {n}",
            "a": f"say {n} ",
            "text": f"Q: ask {n}\nA: say {n}",
            "note": f"ask {n}",
            "id": str(n),
        }
        for n in range(3)
    ]
    assert Profile(rows).redundant(["q", "a"]) == ["text"]
    assert Profile([*rows, {**rows[0], "text": "another"}]).redundant(["q", "a"]) == []
    assert Profile(rows).redundant(["q"]) == []  # one column alone is easily repeated
