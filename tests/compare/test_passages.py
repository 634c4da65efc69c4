import json
from pathlib import Path

import pytest

from lorascope.compare.passages import BUNDLED, passages_hash, read_passages
from lorascope.errors import DataError
from lorascope.run.commit import sha256_of


def test_the_bundled_passages_are_forty_eight_of_fifty_to_eighty_words() -> None:
    found = read_passages("auto")
    assert found is not None and found.source == "bundled"
    assert len(found.texts) == len(set(found.texts)) == 48
    assert all(50 <= len(text.split()) <= 80 for text in found.texts)
    assert BUNDLED.read_bytes().isascii()  # a byte tokenizer reads them like any other text


def test_blank_lines_part_passages_and_what_stands_before_a_line_stays(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_bytes(b"\xef\xbb\xbf\n\nOne line,\r\nand another. \r\n \t\r\n\n\ndef f():\n    return 1\n")
    found = read_passages(str(path))
    assert found is not None and found.source == "own.txt"
    assert found.texts == ("One line,\nand another.", "def f():\n    return 1")


def test_a_line_of_json_is_a_passage_with_its_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"text": "First.\n\nStill the first."}, {"text": "Second.", "source": "x"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    found = read_passages(str(path))
    assert found is not None and found.texts == ("First.\n\nStill the first.", "Second.")


def test_switched_off_is_none_and_leaves_no_hash() -> None:
    assert read_passages(False) is None
    assert passages_hash(False) == "none"
    assert passages_hash("auto") == sha256_of(BUNDLED)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.txt", None, "cannot be read"),
        ("latin.txt", b"caf\xe9", "it is not UTF-8 text"),
        ("empty.txt", b"\n \n\t\n", "holds no passage"),
        ("empty.jsonl", b"\n", "holds no passage"),
        ("list.json", b'["a", "b"]', "line 1: a list, not an object"),
        ("other.jsonl", b'{"text": "a"}\n{"content": "b"}\n', "1 line(s) .* line 2: no text; it has content"),
        ("broken.jsonl", b'{"text": "a"\n', "line 1: no JSON"),
        ("number.jsonl", b'{"text": 3}\n', "line 1: text is a int"),
        ("half.jsonl", b'{"text": "\\ud800"}\n', "line 1: text is no Unicode"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_message(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    (tmp_path / "near.txt").write_text("near")
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for read in (read_passages, passages_hash):
        with pytest.raises(DataError, match=told.replace("(s)", r"\(s\)")) as failed:
            read(str(path))
        assert f"where: {path}, named by compare.unrelated" in failed.value.message
