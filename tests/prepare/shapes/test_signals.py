import pytest

from lorascope.prepare.shapes.signals import (
    SIGNALS,
    has_placeholder,
    is_null_like,
    is_spaced_out,
    says_no_input,
    signals_of,
    text_signals,
)
from lorascope.run.message import Message, ToolCall


@pytest.mark.parametrize(
    "text",
    [
        "noinput", "Noinput", "NoInput", "<noinput>", "< noinput >", "`<noinput>`", "No input.", "<No Input>",
        '"<noinput>"', "[noinput]", "(No input)", "{\\noinput}", "\\<noinput\\>", "<Noinput>.",
        "No input needed.", "No input required",
    ],
)  # fmt: skip
def test_every_spelling_of_no_input_found_in_alpaca_data_is_one(text: str) -> None:
    assert says_no_input(text)


@pytest.mark.parametrize(
    "text",
    ["", "N/A", "None", "NULL", "undefined", "no input was given to the function", "input", "No", "inputs"],
)
def test_other_words_are_an_input(text: str) -> None:
    assert not says_no_input(text)


@pytest.mark.parametrize(
    "text",
    ["null", "NULL", "None", "n/a", "N/A.", "NaN", "undefined", "nil", "<nooutput>", "No Output", "noinput"],
)
def test_words_for_no_value_are_null_like(text: str) -> None:
    assert is_null_like(text)


@pytest.mark.parametrize(
    "text", ["", "nothing", "0", "none of them", "null and void", "Nanny", "--", "Na, K and Li"]
)
def test_other_words_are_not_null_like(text: str) -> None:
    assert not is_null_like(text)


@pytest.mark.parametrize("text", ["I am {{name}}.", "{{ author }}", "{{user.name}}", "by {{\u4f5c\u8005}}"])
def test_a_place_to_be_filled_in_is_a_placeholder(text: str) -> None:
    assert has_placeholder(text)


@pytest.mark.parametrize(
    "text", ["{name}", "{{", "{{}}", "${{ secrets.KEY }}", "style={{ color: 'red' }}", "{{{{", "{{1}}"]
)
def test_other_braces_are_no_placeholder(text: str) -> None:
    assert not has_placeholder(text)


def test_text_cut_into_characters_is_spaced_out() -> None:
    assert is_spaced_out("\u4f60 \u53bb \u90a3 \u513f \u4e86")
    assert is_spaced_out("\u6211 \u7528 S \u8bf4 \u8bdd")
    assert not is_spaced_out("\u4f60 \u53bb \u90a3")  # too short to tell
    assert not is_spaced_out("2 + 3 x 4 - 5")
    assert not is_spaced_out("\u4f60\u53bb\u90a3\u513f\u7adf\u7136")


def test_signals_name_the_side_they_are_on() -> None:
    messages = [
        Message(role="system", content="null"),  # says nothing about question or answer
        Message(role="user", content="N/A", context="None"),
        Message(role="assistant", content="undefined"),
    ]
    assert sorted(signals_of(messages)) == ["null_like_answer", "null_like_context", "null_like_prompt"]


def test_a_result_needs_a_call_before_it() -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),))
    result = Message(role="tool", content="3")
    user = Message(role="user", content="What is it?")
    answer = Message(role="assistant", content="It is three.")
    assert list(signals_of([user, call, result, result, answer])) == []
    assert list(signals_of([user, answer, result, answer])) == ["result_without_call"]
    assert list(signals_of([user, call, result, answer, result])) == ["result_without_call"]


def test_an_argument_that_is_null_is_told_from_the_word() -> None:
    def found(arguments: str) -> list[str]:
        call = ToolCall(name="f", arguments=arguments)
        return list(signals_of([Message(role="assistant", tool_calls=(call,))]))

    assert found('{"city": "Rome", "date": null}') == ["null_in_arguments"]
    assert found('{"text": "x: null"}') == []
    assert found("{}") == []


def test_every_signal_is_listed() -> None:
    assert set(text_signals("{{a}}", "null_like_answer")) <= set(SIGNALS)
    assert text_signals("NULL", "null_like_answer") == ("null_like_answer",)
    assert text_signals("NULL") == ()
    assert len(set(SIGNALS)) == len(SIGNALS)


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("The caf\u00c3\u00a9 on the corner opens at nine.", ("mojibake",)),
        ("It\u00e2\u20ac\u2122s a long way from here to there.", ("mojibake",)),
        ("The caf\u00e9 on the corner opens at nine.", ()),
        ("It&#39;s a long way from here to there.", ("html_entities",)),
        ("<p>Salt &amp; pepper for everybody at the table</p>", ()),  # it is HTML
        ("Salt & pepper; for everybody at the table", ()),
        ("God's\ufffdWindow is a sight worth the climb.", ("replacement_characters",)),
    ],
)
def test_letters_that_a_wrong_reading_left_are_seen(text: str, signals: tuple[str, ...]) -> None:
    assert text_signals(text) == signals
