from collections.abc import Callable
from pathlib import Path

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import open_source


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv", "rows.parquet"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
        (b"\xef\xbb\xbf  \n<HTML lang='en'>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b"PK\x03\x04\x14\x00", "an Excel workbook"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", "a Python pickle"),
        (b"rows.json" + b"\0" * 248 + b"ustar\x0000" + b"\0" * 600, "a tar archive"),
    ],
)
def test_what_is_no_data_is_called_by_its_name(
    content: bytes, said: str, name: str, write: Callable[..., Path]
) -> None:
    path = write(content, name)
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert "fix:" in caught.value.message


def test_a_row_of_html_is_a_row(write: Callable[..., Path]) -> None:
    assert len(list(open_source(write('{"a": "<!DOCTYPE html>"}\n', "rows.jsonl")).rows())) == 1
