import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.prepare.read import SourceRow, open_source

sys.path.insert(0, str(Path(__file__).parents[2]))  # for hub_server.py

Found = list[tuple[int, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below tmp_path: write(content, "rows.json")."""

    def written(content: str | bytes, name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def read(write: Callable[..., Path]) -> Callable[..., Found]:
    """What a file holds, as read(content, "rows.json"): (line, value) of a row, (line, reason) of a bad one.

    Every call also reads the file in the smallest chunks there are, as another process would get them; that
    must come to the same.
    """

    def found(content: str | bytes, name: str, **options: Any) -> Found:
        source = open_source(write(content, name), **options)
        whole = list(source.rows())
        chunks = [pickle.loads(pickle.dumps(chunk)) for chunk in source.chunks(num_bytes=1)]
        assert [row for chunk in chunks for row in chunk.rows()] == whole
        return [(row.line, row.value if isinstance(row, SourceRow) else row.reason) for row in whole]

    return found
