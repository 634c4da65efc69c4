import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorascope.diagnose.logs.json_value import ends_early, json_value

ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.end_to_end
@given(ANY_VALUE, st.sampled_from([None, 2]), st.booleans())
def test_what_the_standard_library_wrote_is_read_as_the_standard_library_reads_it(
    value: object, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json_value(text) == json.loads(text)


def test_not_a_number_and_infinity_are_read_as_transformers_writes_them() -> None:
    loss, norm, least = json_value("[NaN, Infinity, -Infinity]")
    assert math.isnan(loss) and norm == math.inf and least == -math.inf


def test_what_other_languages_print_for_no_number_is_read_as_none() -> None:
    value = json_value('{"loss": nan, "eval_loss": -nan(ind), "norms": [inf, -inf], "name": "a nan, b"}')
    assert math.isnan(value["loss"]) and math.isnan(value["eval_loss"])
    assert value["norms"] == [math.inf, -math.inf]


def test_a_number_of_more_digits_than_int_takes_is_the_largest_and_costs_nothing_else() -> None:
    digits = "9" * 5000  # int() takes 4,300
    value = json_value(f'{{"step": {digits}, "norm": -{digits}, "loss": nan, "seed": {"9" * 400}}}')
    assert value["step"] == sys.float_info.max and value["norm"] == -sys.float_info.max
    assert math.isnan(value["loss"]) and value["seed"] == 10**400 - 1


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ('[{"a": 1}, {"b', True),
        ('{"a": 1', True),
        ('{"a": 1}', False),
        ('{"a": 1}\n{"b', False),
        ("[1,]", False),
    ],
)
def test_a_text_that_ends_early_is_the_beginning_of_one_value(text: str, ends: bool) -> None:
    assert ends_early(text) == ends


def test_half_a_surrogate_pair_does_not_cost_the_file() -> None:
    assert json_value('{"name": "\\ud83d", "loss": 1.5}') == {"name": "\ud83d", "loss": 1.5}


def test_a_value_nested_deeper_than_the_parser_goes_is_read_all_the_same() -> None:
    value = json_value("[" * 300 + "]" * 300)  # pydantic's stops at 200
    for _ in range(299):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("text", ["", "{", '{"loss": 1.5,}', "loss", '{"loss": 1.5} {"loss": 1.4}', "[01]"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Expecting|Extra data|Illegal"):
        json_value(text)
