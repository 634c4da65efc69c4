"""The page of a check: what is learned token by token, and pages of long rows that still open."""

from typing import Any

import numpy as np

from lorascope.check.page import check_page
from lorascope.run.dataset import IGNORE, Example


def report_of(num: int) -> dict[str, Any]:
    return {
        "stop_tokens": [],
        "failed_rows": {},
        "notices": [],
        "checks": [],
        "allowed": [],
        "splits": {"train": num},
        "first_line": "all is well",
    }


def test_the_first_token_is_never_counted_as_learned(alpaca_tokenizer: Any) -> None:
    ids = np.arange(1, 6)
    page = check_page(
        report_of(1),
        [("train", Example(example_id="a", input_ids=ids, labels=ids))],
        alpaca_tokenizer,
        name="x",
    )
    assert "5 tokens, 4 of them learned" in page


def test_of_many_long_rows_the_worst_are_shown_at_length_and_the_others_begun(alpaca_tokenizer: Any) -> None:
    ids = np.arange(300) % 50 + 1
    labels = np.where(np.arange(300) > 280, ids, IGNORE)
    rows = [("train", Example(example_id=f"row-{n}", input_ids=ids, labels=labels)) for n in range(52)]
    page = check_page(report_of(52), rows, alpaca_tokenizer, name="x")
    # The first 50 whole, of two more 160 tokens each.
    assert page.count("140 more tokens are not shown") == 2
    assert page.count("title=") >= 50 * 300 + 2 * 160
