"""No word of pydantic's own reaches a reader: every setting is given every kind of nonsense."""

import re
from typing import Any

import pytest

from lorascope.errors import ConfigError, apart, parts
from lorascope.run.recipe import make_recipe, with_overrides
from lorascope.run.section import Section
from lorascope.run.sections import CHECKS, Recipe

LEAST = {"base": "gpt2", "data": "rows.json"}
NONSENSE: tuple[Any, ...] = (
    3,
    -1,
    1e99,
    1.5,
    "abc",
    "",
    True,
    None,
    [],
    [1],
    [["a"]],
    {},
    {"deep": 1},
    {1: 2},
)
PYDANTIC = re.compile(
    r"Input should|union|function-|valid (dictionary|tuple|string|integer|number|boolean)|instance of"
    r"|unable to parse|Value error|Keys should|Section\b|validation error|\[type="
)
SECTIONS: dict[str, type[Section]] = {
    name: type(field.default)
    for name, field in Recipe.model_fields.items()
    if isinstance(field.default, Section)
}
PLACES = [
    *Recipe.model_fields,
    *(f"base.{name}" for name in Recipe.model_fields["base"].annotation.model_fields),  # type: ignore[union-attr]
    *(f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields),
]


def said_of(values: dict[str, Any]) -> str:
    """What is said of wrong values; empty where they are accepted."""
    try:
        make_recipe({**LEAST, **values}, "command line")
    except ConfigError as error:
        return error.message
    return ""


def message_of(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_recipe(with_overrides(LEAST, settings), "command line")
    return caught.value.message


@pytest.mark.parametrize("place", PLACES)
def test_nonsense_is_refused_in_our_words(place: str) -> None:
    section, dot, name = place.partition(".")
    first = {"id": "gpt2"} if section == "base" else {}
    messages = [said_of({section: {**first, name: value} if dot else value}) for value in NONSENSE]
    assert any(messages)
    for message in filter(None, messages):
        assert not PYDANTIC.search(message), message
        for one in apart(message):
            assert all(len(text) > 3 for text in parts(one).values()), one
            assert len(parts(one)) == 4


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", ["3", "abc", "yes", "", "[1]"])
def test_a_value_for_a_whole_section_is_told_to_go_into_a_setting(section: str, value: str) -> None:
    message = message_of(f"{section}={value}")
    assert f"{section} is a section: it holds settings and takes no value itself" in message
    assert (
        f"set one of its settings, as in {section}.{next(iter(SECTIONS[section].model_fields))}=" in message
    )


def test_a_number_for_lora_is_shown_where_its_settings_are() -> None:
    assert message_of("lora=3").splitlines() == [
        "lora: 3 is not accepted",
        '  where: command line, setting "lora"',
        "  why:   lora is a section: it holds settings and takes no value itself",
        "  fix:   set one of its settings, as in lora.rank=16; available: alpha, dropout, rank, "
        "target_modules",
    ]


def test_a_base_that_is_no_name_is_told_what_names_one() -> None:
    message = message_of("base=3")
    assert "the base model is named by text: a model on the Hub, or a folder" in message
    assert "for example base=gpt2; its settings: id, revision, dropout" in message


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("lora.rank=wide", "it must be a whole number"),
        ("lora.rank=1.5", "it must be a whole number"),
        ("lora.rank=0", "it must be a number greater than or equal to 1"),
        ("lora.alpha=.inf", "it must be a finite number"),
        ("seed=4294967296", "it must be a number less than 4,294,967,296"),
        ("data=3", "data is a path, or a list of sources as in [{path: rows.jsonl, weight: 2}]"),
        ("data=''", "it must be text that is not empty"),
        ("prepare.max_length=abc", "it must be 'auto', or a whole number"),
        ("base.dropout=1", "it must be 'keep', or a number less than 1"),
        ("train.checkpoint_activations=3", "it must be 'auto', or a switch, true or false"),
        ("check.allow=overlap", "it must be a list, as in [a, b]"),
        ("lora.target_modules=[]", "it must be 'auto', or a list that is not empty"),
        ("lora.target_modules=[1, 2]", "it must be 'auto', or a list of which every entry is text"),
        ("lora={1: 2}", "it must be under a name that is text"),
    ],
)
def test_what_a_setting_accepts_is_said_in_words(setting: str, why: str) -> None:
    assert f"  why:   {why}\n" in message_of(setting)


@pytest.mark.parametrize("rate", ["3e37", "4e38", "1.1e30"])
def test_a_learning_rate_beyond_float32_is_refused(rate: str) -> None:
    # float32 ends at 3.4e38, and rate x gradient must stay below it.
    message = message_of(f"train.learning_rate={rate}")
    assert "train.learning_rate: " in message
    assert "it must be a number less than or equal to 1e+30" in message
    assert make_recipe(with_overrides(LEAST, ["train.learning_rate=1e30"])).train.learning_rate == 1e30


def test_an_unknown_name_gets_the_nearest_valid_one() -> None:
    message = message_of("train.schedule=cosin")
    assert 'did you mean "cosine"? available: constant, cosine, linear' in message


def test_an_unknown_check_is_refused_by_the_recipe_with_the_nearest() -> None:
    message = message_of("check.allow=[overlaps]")
    assert "check.allow: 'overlaps' is not accepted" in message
    assert 'did you mean "overlap"?' in message
    allowed = make_recipe({**LEAST, "check": {"allow": list(CHECKS)}}).check.allow
    assert allowed == CHECKS
