"""What holds for every file: rows in = good + bad, each on its line, in chunks or whole; never a crash."""

import csv
import gzip
import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, Row, SourceRow, open_source
from lorascope.prepare.read.json_values import rows_of_values
from lorascope.prepare.read.window import Window

pytestmark = pytest.mark.end_to_end

EVERY = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECES = [
    "a",
    '"',
    "\\",
    "[{",
    "}]",
    ", ",
    ": ",
    "\n",
    "\u2028",
    "\u00e9\u4f60\U0001f600",
    "NaN",
    '{"instruction"',
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=4).map("".join)
SCALAR = TEXT | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXT})
SHAPES = (
    st.builds(lambda a, b: {"instruction": a, "output": b}, TEXT, SCALAR),
    st.builds(
        lambda a, b: {"instruction": a, "meta": b}, TEXT, st.dictionaries(st.sampled_from("xyz"), SCALAR)
    ),
    st.builds(lambda a, b: {"messages": a, "id": b}, st.lists(TURN, max_size=3), st.integers()),
    st.builds(lambda a, b: {"role": "x", "turns": a, "id": b}, st.lists(TURN, max_size=3), st.integers()),
)
ROW = st.one_of(SHAPES)
FAULTS = ("none", "token", "comma", "brace", "quote", "nan", "twice")


def broken(text: str, fault: str) -> str:
    """Break a row as people and programs do: a stray word, a lost brace or quote, what JSON does not have."""
    if fault == "token":
        return text.replace(":", ": oops", 1)
    if fault == "quote":
        return "".join(text.rsplit('"', 1))
    ends = {"comma": ",}", "brace": "", "nan": ', "z": NaN}', "twice": ', "z": 1, "z": 2}'}
    return text[:-1].rstrip() + ends[fault]


def planted(rows: Sequence[Any], faults: Sequence[str], indent: int | None) -> list[str]:
    texts = [json.dumps(row, indent=indent, ensure_ascii=False) for row in rows]
    return [
        text if fault == "none" else broken(text, fault) for text, fault in zip(texts, faults, strict=True)
    ]


def utf8(text: str) -> bytes:
    assume(not any("\ud800" <= char <= "\udfff" for char in text))
    return text.encode()


def both_ways(path: Path, num_bytes: int) -> list[Row]:
    """A file's rows, read whole; in chunks they must be the same."""
    source = open_source(path)
    whole = list(source.rows())
    chunks = [pickle.loads(pickle.dumps(chunk)) for chunk in source.chunks(num_bytes=num_bytes)]
    assert [row for chunk in chunks for row in chunk.rows()] == whole
    return whole


@EVERY
@given(
    rows=st.lists(
        st.tuples(ROW | SCALAR, st.sampled_from(FAULTS), st.integers(0, 2)), min_size=2, max_size=8
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
    num_bytes=st.integers(1, 200),
)
def test_every_line_is_a_row_or_a_bad_row(
    rows: list[tuple[Any, str, int]], end: str, packed: bool, num_bytes: int, tmp_path: Path
) -> None:
    lines, wanted = ['{"instruction": "first", "output": 1}'], [(1, {"instruction": "first", "output": 1})]
    for value, fault, num_blank in rows:
        lines += [""] * num_blank
        if fault == "none" or not isinstance(value, dict) or not value:
            lines.append(json.dumps(value, ensure_ascii=False))
            wanted.append((len(lines), value))
        else:
            lines.append(broken(json.dumps(value, ensure_ascii=False), fault))
            wanted.append((len(lines), None))
    data = utf8(end.join(lines))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    found = both_ways(path, num_bytes)
    assert [row.line for row in found] == [line for line, _ in wanted]
    assert [row.value for row in found if isinstance(row, SourceRow)] == [
        value for row, (_, value) in zip(found, wanted, strict=True) if isinstance(row, SourceRow)
    ]
    assert [isinstance(row, BadRow) for row in found] == [
        line > 1 and value is None and lines[line - 1] != "null" for line, value in wanted
    ]


@EVERY
@given(
    rows=st.sampled_from(SHAPES).flatmap(
        lambda shape: st.lists(
            st.tuples(shape, st.sampled_from(("none", "none", *FAULTS))), min_size=1, max_size=8
        )
    ),
    indent=st.sampled_from([None, 1, 4]),
    between=st.sampled_from([",", ", ", ",\n", "\n,\n"]),
    piece=st.sampled_from([1, 5, 64, 1 << 20]),
)
def test_no_good_row_of_an_array_is_lost(
    rows: list[tuple[Any, str]], indent: int | None, between: str, piece: int
) -> None:
    rows = [(rows[0][0], "none"), *rows]
    texts = planted([row for row, _ in rows], [fault for _, fault in rows], indent)
    text, lines = "[\n", []
    for number, one in enumerate(texts):
        text += between if number else ""
        lines.append(text.count("\n") + 1)
        text += one
    found = list(rows_of_values(Window(io.StringIO(text + "\n]", newline="").read, piece)))
    good = [(row.line, row.value) for row in found if isinstance(row, SourceRow)]
    faults = [fault for _, fault in rows]
    assert good == [(line, row) for line, (row, fault) in zip(lines, rows, strict=True) if fault == "none"]
    # A broken row may be reported in two pieces, but never passed over.
    bad = [row.line for row in found if isinstance(row, BadRow)]
    assert set(bad) >= {line for line, fault in zip(lines, faults, strict=True) if fault != "none"}


@EVERY
@given(
    rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=8),
    wrong=st.sets(st.integers(0, 7), max_size=2),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
    name=st.sampled_from(["rows.csv", "rows.tsv"]),
    num_bytes=st.integers(1, 100),
)
def test_every_record_of_a_table_is_a_row_or_a_bad_row(
    rows: list[list[str]],
    wrong: set[int],
    delimiter: str,
    end: str,
    name: str,
    num_bytes: int,
    tmp_path: Path,
) -> None:
    names = ["instruction", "input", "output"]
    text = delimiter.join(names) + end
    wanted: list[tuple[int, Any]] = []
    for number, cells in enumerate(rows):
        # The csv module ends a line at \n, \r and \r\n, and nowhere else.
        line = len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        record = io.StringIO()
        written = cells[:-1] if number in wrong else cells
        csv.writer(record, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(written)
        wanted.append((line, None if number in wrong else dict(zip(names, cells, strict=True))))
        text += record.getvalue()
    (tmp_path / name).write_bytes(utf8(text))
    found = both_ways(tmp_path / name, num_bytes)
    assert [(row.line, row.value if isinstance(row, SourceRow) else None) for row in found] == wanted


NAMES = ["a.json", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.arrow", "a.json.gz", "a.csv.zst", "a.txt"]
STARTS = [
    b"",
    b"[",
    b"{",
    b'{"data": [',
    b"PAR1",
    b"ARROW1\0\0",
    b"\xff\xff\xff\xff",
    b"\x1f\x8b",
    b"\xff\xfe",
    b"\0[",
]
TOKENS = [
    b'{"a": 1}',
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b";",
    b":",
    b'"',
    b"NaN",
    b"\\",
    b" ",
    b"\n",
    b"\r",
    b"1",
    b"a",
]


@settings(EVERY, max_examples=300)
@given(
    name=st.sampled_from(NAMES),
    start=st.sampled_from(STARTS),
    rest=st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=30).map(b"".join),
    packed=st.booleans(),
    num_bytes=st.integers(1, 100),
)
def test_bytes_at_random_never_crash_the_readers(
    name: str, start: bytes, rest: bytes, packed: bool, num_bytes: int, tmp_path: Path
) -> None:
    data = start + rest
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if packed else data)
    try:
        rows = both_ways(tmp_path / name, num_bytes)
    except DataError as error:
        assert "fix:" in error.message
        return
    assert all(isinstance(row, SourceRow | BadRow) for row in rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_broken_rows_among_many_are_named_on_their_lines(seed: int, tmp_path: Path) -> None:
    import random

    dice = random.Random(seed)
    faults = dict.fromkeys(dice.sample(range(1, 10_000), 1000))
    for number in faults:
        faults[number] = dice.choice(FAULTS[1:])
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"{n}!"} for n in range(10_000)]
    texts = planted(rows, [faults.get(n) or "none" for n in range(10_000)], None)
    good = [(n + 1, row) for n, row in enumerate(rows) if n not in faults]
    for name, text in (("a.jsonl", "\n".join(texts)), ("a.json", "[" + ",\n".join(texts) + "]")):
        (tmp_path / name).write_text(text)
        found = both_ways(tmp_path / name, 10_000)
        assert [(row.line, row.value) for row in found if isinstance(row, SourceRow)] == good
        assert [row.line for row in found if isinstance(row, BadRow)] == sorted(n + 1 for n in faults)
