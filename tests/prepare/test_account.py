"""Rows are counted, and too many bad ones stop the stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.lm.template import Template
from lorascope.prepare.account import Account, refuse_too_many_bad
from lorascope.prepare.origin import open_origin
from lorascope.prepare.parallel import work_through
from lorascope.run.data_sections import DataSection
from lorascope.run.progress import SILENT

GOOD = {"instruction": "a", "output": "b"}
BAD = {"instruction": "a", "output": ""}


def account_of(path: Path, tokenizer: Any) -> Account:
    account = Account()
    origin = open_origin(DataSection(path=str(path)), SILENT)
    for _, worked in work_through([origin], Template("alpaca", tokenizer), "all"):
        account.add(worked)
    return account


@pytest.mark.parametrize(
    ("num_bad", "num_rows", "max_dropped", "stops"),
    [
        (10, 20, 0.0, False),  # ten are listed and do not stop it
        (10, 19, 0.0, True),  # unless they are more than half
        (1, 2, 0.0, False),
        (2, 3, 0.0, True),
        (11, 2000, 0.01, False),  # 0.55 %
        (20, 2000, 0.01, False),  # exactly 1 % is accepted
        (21, 2000, 0.01, True),
        (11, 12, 1.0, False),  # accepted on record
        (3, 3, 1.0, True),  # none is left
    ],
)
def test_too_many_bad_rows_stop_the_stage(
    num_bad: int,
    num_rows: int,
    max_dropped: float,
    stops: bool,
    write_rows: Callable[..., Path],
    alpaca_tokenizer: Any,
) -> None:
    path = write_rows([BAD] * num_bad + [GOOD] * (num_rows - num_bad))
    account = account_of(path, alpaca_tokenizer)
    assert (account.num_rows, account.num_bad, account.num_examples) == (
        num_rows,
        num_bad,
        num_rows - num_bad,
    )
    if not stops:
        refuse_too_many_bad(account, max_dropped, str(path))
        return
    with pytest.raises(DataError) as caught:
        refuse_too_many_bad(account, max_dropped, str(path))
    assert f"{num_bad} of {num_rows:,} rows are malformed: empty_output {num_bad}" in caught.value.message
    assert "the first is row 1: " in caught.value.message


def test_a_line_is_named_where_it_is_not_the_row(tmp_path: Path, alpaca_tokenizer: Any) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n\n{"instruction": "a", "output": ""}]', encoding="utf-8")
    account = account_of(path, alpaca_tokenizer)
    with pytest.raises(DataError, match="the first is row 1 at line 3: "):
        refuse_too_many_bad(account, 0.01, str(path))


def test_rows_that_were_all_turned_down_are_no_mistake_and_no_data(
    write_rows: Callable[..., Path], alpaca_tokenizer: Any
) -> None:
    path = write_rows([{"prompt": "a", "completion": "b", "label": False}] * 20, "kto.json")
    account = account_of(path, alpaca_tokenizer)
    assert (account.num_bad, account.tally["not_chosen"]) == (0, 20)
    with pytest.raises(DataError, match="none of 20 rows holds an answer to imitate"):
        refuse_too_many_bad(account, 0.01, str(path))
