"""Datasets made elsewhere: what their tokens say, and targets outside of answers."""

from typing import Any

import numpy as np
import pytest

from lorascope.check.elsewhere import Spans, nothing_but_stop, texts_of_tokens
from lorascope.run.dataset import IGNORE, Example

SAID = [
    {"role": "user", "content": "ab"},
    {"role": "assistant", "content": "cd"},
    {"role": "user", "content": "ef"},
    {"role": "assistant", "content": "gh"},
]


@pytest.fixture
def chat(chat_tokenizer: Any) -> tuple[Any, Example, list[tuple[int, int]], int]:
    """A chat of two answers, right in every way; where its answers stand, their stop token included."""
    ids = np.array(chat_tokenizer.apply_chat_template(SAID, tokenize=True)["input_ids"])
    stop = chat_tokenizer.convert_tokens_to_ids("<|im_end|>")
    stops = np.flatnonzero(ids == stop)  # of the user, the assistant, the user, the assistant
    answers = [(int(stops[at]) - 2, int(stops[at]) + 1) for at in (1, 3)]  # two letters before it
    labels = np.full(len(ids), IGNORE)
    for start, end in answers:
        labels[start:end] = ids[start:end]
    return chat_tokenizer, Example(example_id="a", input_ids=ids, labels=labels), answers, stop


def spans_of(chat: Any, **changes: int) -> Spans:
    tokenizer, example, _, stop = chat
    labels = example.labels.copy()
    for place, is_target in changes.values():
        labels[place] = example.input_ids[place] if is_target else IGNORE
    one = Example(example_id="a", input_ids=example.input_ids, labels=labels)
    return Spans({"train": [one]}, tokenizer, [stop])


def test_answers_that_are_learnt_whole_have_no_fault(chat: Any) -> None:
    spans = spans_of(chat)
    assert (spans.num_rows, spans.prompt, spans.late, spans.endless) == (1, [], [], [])


def test_targets_outside_of_answers_are_counted(chat: Any) -> None:
    spans = spans_of(chat, user=(3, True), other=(4, True))
    assert [row["what"] for row in spans.prompt] == ["2 targets stand in no answer"]


def test_an_answer_with_its_first_or_a_middle_token_masked_is_named(chat: Any) -> None:
    (start, _), _ = chat[2]
    assert spans_of(chat, first=(start, False)).late[0]["what"] == "its first tokens are masked"
    assert spans_of(chat, second=(start + 1, False)).late[0]["what"] == "1 tokens amid the answer are masked"


def test_an_earlier_answer_without_its_stop_token_is_named(chat: Any) -> None:
    (_, end), _ = chat[2]
    spans = spans_of(chat, stop=(end - 1, False))
    assert spans.endless[0]["what"] == "1 answers without their stop token"
    assert (spans.prompt, spans.late) == ([], [])


def test_an_answer_that_is_not_learnt_at_all_may_be_meant_so(chat: Any) -> None:
    (start, end), _ = chat[2]
    changes = {f"at{place}": (place, False) for place in range(start, end)}
    spans = spans_of(chat, **changes)
    assert (spans.prompt, spans.late, spans.endless) == ([], [], [])


def test_a_tokenizer_without_a_chat_template_tells_no_spans(alpaca_tokenizer: Any) -> None:
    ids = np.arange(1, 9)
    assert (
        Spans({"train": [Example(example_id="a", input_ids=ids, labels=ids)]}, alpaca_tokenizer, [0]).num_rows
        == 0
    )


def test_examples_are_read_back_from_their_tokens_and_compared(alpaca_tokenizer: Any) -> None:
    def example(name: str, asked: str, told: str) -> Example:
        prompt, answer = (alpaca_tokenizer(text)["input_ids"] for text in (asked, told))
        ids = np.array([*prompt, *answer, 0])
        labels = np.array([IGNORE] * len(prompt) + [*answer, 0])
        return Example(example_id=name, input_ids=ids, labels=labels)

    splits = {
        "train": [example("0", "Who?", " Ann")],
        "validation": [
            example("0", "Who?", " ANN"),
            example("1", "who? ", " Bob"),
            example("2", "Why?", " Ann"),
        ],
    }
    texts = texts_of_tokens(splits, alpaca_tokenizer)
    assert [message.content for message in texts["train/0"].messages] == ["Who?", " Ann"]
    assert [texts[f"validation/{n}"].overlap for n in range(3)] == ["same", "prompt", None]


def test_ids_that_the_tokenizer_does_not_have_are_left_out(alpaca_tokenizer: Any) -> None:
    ids = np.array([-1, 5, 10**6])
    labels = np.array([IGNORE, IGNORE, 10**6])
    (text,) = texts_of_tokens(
        {"train": [Example(example_id="0", input_ids=ids, labels=labels)]}, alpaca_tokenizer
    ).values()
    assert text.messages[0].content == alpaca_tokenizer.decode([5])


def test_rows_that_learn_nothing_but_to_stop_are_counted() -> None:
    ids = np.array([4, 5, 0])
    silent = Example(example_id="a", input_ids=ids, labels=np.array([IGNORE, IGNORE, 0]))
    speaks = Example(example_id="b", input_ids=ids, labels=np.array([IGNORE, 5, 0]))
    found = nothing_but_stop({"train": [silent, speaks]}, [0])
    assert found is not None and (found.num_rows, found.worst[0]["example_id"]) == (1, "a")
    assert nothing_but_stop({"train": [speaks]}, [0]) is None
