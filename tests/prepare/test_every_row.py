"""No row is ever lost: what goes in is kept or listed, whatever it is, with its exact line."""

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorascope.errors import DataError
from lorascope.prepare.stage import prepare_run
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ROW = st.fixed_dictionaries({}, optional={"instruction": JSON, "input": JSON, "output": JSON, "more": JSON})


def listed(run: RunFolder) -> list[dict[str, Any]]:
    text = (run.stage("prepare") / "dropped.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW | JSON, max_size=25), truncation=st.sampled_from(["drop", "cut_prompt", "cut_response"])
)
def test_rows_in_are_rows_kept_and_rows_listed(rows: list[Any], truncation: str, alpaca_base: Path) -> None:
    good = [{"instruction": f"Say {n}.", "output": f"{n}!"} for n in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        mixed = (
            [row for pair in zip(good, rows, strict=False) for row in pair] + good[len(rows) :] + rows[12:]
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in mixed), encoding="utf-8")
        run = RunFolder(Path(folder) / "run")
        prepare = {"max_dropped": 1.0, "format": "alpaca", "truncation": truncation, "validation": 2}
        report = prepare_run(
            run, make_recipe({"base": str(alpaca_base), "data": str(path), "prepare": prepare})
        )
        kept = {text.example_id for text in read_texts(run.examples)}
        dropped = listed(run)
    assert report["rows_read"] == len(mixed) == len(kept) + len(dropped)
    places = {int(name.rpartition("#")[2]) for name in kept} | {one["row"] for one in dropped}
    assert places == set(range(1, len(mixed) + 1))
    assert all(one["row"] == one["line"] for one in dropped)
    own = {n for n, row in enumerate(mixed, 1) if row in good}
    assert own <= {int(name.rpartition("#")[2]) for name in kept} | too_long(dropped)


def too_long(dropped: list[dict[str, Any]]) -> set[int]:
    return {one["row"] for one in dropped if one["reason"] == "over_length"}


def broken(rng: random.Random, row: dict[str, str]) -> tuple[bytes, str]:
    """A malformed line and the reason that must be given."""
    text = json.dumps(row)
    kinds: list[Callable[[], tuple[str | bytes, str]]] = [
        lambda: (text[: rng.randrange(5, len(text) - 3)], "not_json"),
        lambda: (text + " " + text, "two_values_on_a_line"),
        lambda: (text.replace('"output"', '"outptu"'), "missing_output"),
        lambda: (json.dumps({**row, "output": "  "}), "empty_output"),
        lambda: (json.dumps({**row, "output": None}), "null_output"),
        lambda: (json.dumps({**row, "instruction": ["a"]}), "wrong_type_instruction"),
        lambda: (json.dumps({**row, "output": 3}).replace("3}", "NaN}"), "nan_or_infinity"),
        lambda: (text.encode().replace(b"row", b"r\xffw", 1), "bad_utf8"),
        lambda: ("[1, 2]", "not_an_object"),
        lambda: (text[:-1] + ', "output": "again"}', "duplicate_key"),
    ]
    line, reason = rng.choice(kinds)()
    return (line if isinstance(line, bytes) else line.encode()), reason


@pytest.mark.slow
def test_a_thousand_malformed_rows_among_a_hundred_thousand_are_each_listed_by_their_line(
    tmp_path: Path, alpaca_base: Path
) -> None:
    rng = random.Random(0)
    num = 100_000
    bad = set(rng.sample(range(1, num), 1000))  # the first says what the rows are
    expected: dict[int, str] = {}
    with (tmp_path / "rows.jsonl").open("wb") as file:
        for n in range(num):
            row = {
                "instruction": f"Which row is number {n}?",
                "output": f"This row is {n}, {n * 7} by seven.",
            }
            line = json.dumps(row).encode()
            if n in bad:
                line, expected[n + 1] = broken(rng, row)
            file.write(line + b"\n")
    run = RunFolder(tmp_path / "run")
    values = {
        "base": str(alpaca_base),
        "data": str(tmp_path / "rows.jsonl"),
        "prepare": {"near_duplicates": None, "max_length": 512, "max_dropped": 0.02, "validation": 100},
    }
    with pytest.raises(DataError, match="1,000 of 100,000 rows are malformed"):
        prepare_run(run, make_recipe({**values, "prepare": {**values["prepare"], "max_dropped": 0.005}}))  # type: ignore[dict-item]
    assert not run.path.exists()
    report = prepare_run(run, make_recipe(values))
    dropped = listed(run)
    assert {one["line"]: one["reason"] for one in dropped} == expected
    assert report["rows_read"] == num
    kept = {text.example_id for text in read_texts(run.examples)}
    assert kept == {f"rows.jsonl#{n + 1}" for n in range(num) if n not in bad}
