from typing import Any

import pytest

from lorascope.lm.template import Template
from lorascope.prepare.read import BadRow
from lorascope.prepare.rows import Conversation
from lorascope.prepare.tokenise import Tokenised, length_summary, resolve_max_length, tokenise
from lorascope.run.message import Message


def conversation(row: int, *messages: tuple[str, str]) -> Conversation:
    turns = tuple(Message(role=role, content=content) for role, content in messages)
    return Conversation(file="rows.json", line=10 * row, row=row, messages=turns)


def plain(row: int) -> Conversation:
    return conversation(row, ("user", f"question {row}"), ("assistant", "answer"))


def late_system(row: int) -> Conversation:
    return conversation(row, ("user", "a"), ("system", "b"), ("assistant", "c"))


def test_every_conversation_comes_back_in_its_order(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    told: list[int] = []
    conversations = [plain(row) for row in range(1, 1205)]
    done = tokenise(conversations, template, told.append)
    assert [one.conversation for one in done if isinstance(one, Tokenised)] == conversations
    assert sum(told) == 1204
    assert [done[0].encoded] == template.encode(conversations[0].messages)  # type: ignore[union-attr]


def test_a_row_that_the_template_refuses_is_bad_and_hides_no_other(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    done = tokenise([plain(1), late_system(2), plain(3)], template, lambda count: None)
    assert [type(one) for one in done] == [Tokenised, BadRow, Tokenised]
    bad = done[1]
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.line, bad.excerpt) == (2, 20, "a")
    assert bad.reason.startswith("template_refuses: ")


def test_auto_is_the_995th_of_a_thousand_lengths() -> None:
    # Lengths 1 to 1000: numpy's linear percentile is 1 + 0.995 * 999 = 995.005, rounded up.
    assert resolve_max_length("auto", range(1, 1001), None) == 996
    assert resolve_max_length("auto", [7], None) == 7


@pytest.mark.parametrize(
    ("asked", "context", "resolved"),
    [("auto", 512, 512), ("auto", 4096, 996), (64, None, 64), (64, 512, 64), (4096, 1024, 1024)],
)
def test_an_example_is_never_longer_than_the_context(
    asked: str | int, context: int | None, resolved: int
) -> None:
    assert resolve_max_length(asked, range(1, 1001), context) == resolved


def test_the_summary_of_lengths_is_that_of_a_hand_made_list() -> None:
    # 1, 2, 3, 4, 10: the median is 3; p90 lies 0.6 of the way from 4 to 10; p99 0.96 of it.
    summary = length_summary([4, 10, 1, 3, 2])
    assert (summary["num"], summary["min"], summary["median"], summary["max"]) == (5, 1, 3.0, 10)
    assert summary["p90"] == pytest.approx(7.6)
    assert summary["p99"] == pytest.approx(9.76)
    histogram = summary["histogram"]
    assert isinstance(histogram, dict)
    assert sum(histogram["counts"]) == 5
    assert (histogram["edges"][0], histogram["edges"][-1]) == (1.0, 10.0)


def test_lengths_that_are_all_the_same_or_none_have_a_summary() -> None:
    assert length_summary([5, 5, 5])["median"] == 5.0
    assert length_summary([]) == {"num": 0}
