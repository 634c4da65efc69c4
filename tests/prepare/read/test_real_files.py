"""Every real file is read with the rows its manifest counts, or is refused by name."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow, open_source

pytestmark = pytest.mark.end_to_end

ONE_CONVERSATION = "axolotl_missingturns.json"  # the manifest counts its turns
SPLITS_IN_ONE = "cdial_splits_in_one.json"
NO_JSON = "ccks_not_json.jsonl"
BROKEN_LINE = "nexus_broken_line.jsonl"


@pytest.fixture(scope="module")
def manifest(data_folder: Path) -> dict[str, Any]:
    entries = json.loads((data_folder / "datasets" / "MANIFEST.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry for entry in entries}


def test_every_file_has_the_rows_that_were_counted(data_folder: Path, manifest: dict[str, Any]) -> None:
    special = {ONE_CONVERSATION, SPLITS_IN_ONE, NO_JSON, BROKEN_LINE}
    counted = {}
    for name in manifest.keys() - special:
        rows = list(open_source(data_folder / "datasets" / name).rows())
        assert [row for row in rows if isinstance(row, BadRow)] == [], name
        counted[name] = len(rows)
    assert counted == {name: entry["num_rows"] for name, entry in manifest.items() if name not in special}
    assert len(counted) > 30


def test_every_file_comes_to_the_same_in_chunks(data_folder: Path, manifest: dict[str, Any]) -> None:
    for name in manifest.keys() - {NO_JSON}:
        source = open_source(data_folder / "datasets" / name)
        for num_bytes in (1, 20_000):
            chunks = source.chunks(num_bytes=num_bytes)
            assert [row for chunk in chunks for row in chunk.rows()] == list(source.rows()), name


def test_the_columns_are_those_of_the_manifest(data_folder: Path, manifest: dict[str, Any]) -> None:
    for name, entry in manifest.items():
        if not entry["columns"] or name == ONE_CONVERSATION:
            continue
        rows = open_source(data_folder / "datasets" / name).rows()
        columns = {column for row in rows if isinstance(row, SourceRow) for column in row.value}
        assert columns == set(entry["columns"]), name


def test_one_conversation_alone_is_one_row(data_folder: Path, manifest: dict[str, Any]) -> None:
    source = open_source(data_folder / "datasets" / ONE_CONVERSATION)
    (row,) = source.rows()
    assert isinstance(row, SourceRow) and source.notes == ()
    assert len(row.value["conversations"]) == manifest[ONE_CONVERSATION]["num_rows"]


def test_splits_in_one_file_are_told_apart(data_folder: Path) -> None:
    # The manifest: "json object wrapping list(s): valid[200], train[1000], test[200]".
    source = open_source(data_folder / "datasets" / SPLITS_IN_ONE)
    counts = {split: len(list(source.rows(split))) for split in source.splits}
    assert counts == {"validation": 200, "train": 1000, "test": 200}


def test_a_text_file_named_json_is_refused(data_folder: Path) -> None:
    with pytest.raises(DataError, match=f'"{NO_JSON}" holds no JSON'):
        open_source(data_folder / "datasets" / NO_JSON)


def test_a_line_without_its_brace_is_the_only_bad_row(data_folder: Path) -> None:
    rows = list(open_source(data_folder / "datasets" / BROKEN_LINE).rows())
    assert [(row.line, row.reason) for row in rows if isinstance(row, BadRow)] == [(8, "not_json")]
    assert [row.line for row in rows if isinstance(row, SourceRow)] == [n for n in range(1, 24) if n != 8]


def test_line_numbers_are_those_of_the_text_also_when_it_is_compressed(
    data_folder: Path, tmp_path: Path
) -> None:
    path = data_folder / "datasets" / "llamafactory_alpaca_en.json"
    lines = path.read_text(encoding="utf-8").splitlines()
    (tmp_path / "rows.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    for found in (path, tmp_path / "rows.json.gz"):
        for row in open_source(found).rows():
            assert isinstance(row, SourceRow)
            assert lines[row.line - 1].strip() == "{"
            assert json.dumps(row.value["instruction"], ensure_ascii=False) in lines[row.line]


def test_a_folder_of_all_sorts_is_refused(data_folder: Path) -> None:
    with pytest.raises(DataError, match="no column in common|holds no JSON"):
        open_source(data_folder / "datasets")


def test_every_column_name_survives_the_formats(data_folder: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = open_source(data_folder / "datasets" / "rag_japanese_qa.csv")
    values = [row.value for row in source.rows() if isinstance(row, SourceRow)]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "rows.parquet")
    again = open_source(tmp_path / "rows.parquet").rows()
    assert [row.value for row in again if isinstance(row, SourceRow)] == values
