"""Short ways to read rows as `prepare` does."""

from collections.abc import Callable
from typing import Any

import pytest

from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.shapes.shape import NotChosen, Part, Turns


@pytest.fixture
def read() -> Callable[..., Part]:
    """Read one row in the shape of some others, its own where none are given: read(row, *others)."""

    def one(row: Any, *others: Any) -> Part:
        (part,) = detect(others or [row], "rows.json").read(row)
        return part

    return one


@pytest.fixture
def said(read: Callable[..., Part]) -> Callable[..., list[tuple[str, str]]]:
    """Who says what in a row that can be used: [("user", "hi"), ("assistant", "hello")]."""

    def all_of(row: Any, *others: Any) -> list[tuple[str, str]]:
        part = read(row, *others)
        assert isinstance(part, Turns), part
        return [(message.role, message.content) for message in part.messages]

    return all_of


@pytest.fixture
def reason(read: Callable[..., Part]) -> Callable[..., str]:
    """Why a row is malformed."""

    def why(row: Any, *others: Any) -> str:
        part = read(row, *others)
        assert isinstance(part, str), part
        return part

    return why


@pytest.fixture
def not_chosen() -> NotChosen:
    return NotChosen()
