import pytest

from lorascope.prepare.shapes.cells import Malformed
from lorascope.prepare.shapes.roles import CALL, is_role, role_of


@pytest.mark.parametrize(
    ("names", "role"),
    [
        ("system developer System", "system"),
        ("user human Human HUMAN prompter", "user"),
        ("assistant gpt bot chatgpt model ai bing bard GPT", "assistant"),
        ("tool function observation Observation tool_response function-response ipython", "tool"),
        ("function_call tool_call function-call", CALL),
    ],
)
def test_each_name_has_its_role(names: str, role: str) -> None:
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


def test_blanks_around_a_name_do_not_matter() -> None:
    assert role_of(" user\n") == "user"
    assert role_of("tool response") == "tool"


def test_an_unknown_role_is_cut_short_and_printable() -> None:
    with pytest.raises(Malformed) as caught:
        role_of("a\n" * 40)
    assert caught.value.reason == "unknown_role_" + "a\\n" * 6 + "a\\"
    with pytest.raises(Malformed, match="unknown_role_narrator"):
        role_of("narrator")


def test_a_key_that_names_somebody_is_told_from_others() -> None:
    assert is_role("Human") and is_role("system")
    assert not is_role("text") and not is_role("")
