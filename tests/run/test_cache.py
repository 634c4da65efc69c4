"""What is kept comes back as it was, under its own facts only, and never when it was touched."""

import json
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.cache import keep, recall

FACTS = {"base": "abc", "threads": 2, "sizes": [1, 2]}
VALUE = {"nats": [0.1 + 0.2, 1e-310], "texts": ["\u00fc\n"]}


def test_what_was_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    keep(tmp_path / "cache", "scores", FACTS, VALUE)
    found = recall(tmp_path / "cache", "scores", dict(reversed(FACTS.items())))
    assert (found.value, found.problem) == (VALUE, None)
    assert found.made.endswith("+00:00")
    assert found.folder.parent == tmp_path / "cache"


def test_nothing_is_found_where_nothing_was_kept(tmp_path: Path) -> None:
    found = recall(tmp_path / "cache", "scores", FACTS)
    assert (found.value, found.problem) == (None, None)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "changed", [{**FACTS, "base": "abd"}, {**FACTS, "sizes": [2, 1]}, {**FACTS, "more": None}]
)
def test_other_facts_find_nothing(tmp_path: Path, changed: dict[str, object]) -> None:
    keep(tmp_path, "scores", FACTS, VALUE)
    assert recall(tmp_path, "scores", changed).value is None
    assert recall(tmp_path, "answers", FACTS).value is None


def test_a_result_that_was_changed_is_named_and_not_used(tmp_path: Path) -> None:
    keep(tmp_path, "scores", FACTS, VALUE)
    file = recall(tmp_path, "scores", FACTS).folder / "result.json"
    file.write_text(file.read_text().replace("abc", "xyz"))
    found = recall(tmp_path, "scores", FACTS)
    assert (found.value, found.problem) == (None, "result.json was changed after it was written")
    keep(tmp_path, "scores", FACTS, VALUE)  # and the next one takes its place
    assert recall(tmp_path, "scores", FACTS).value == VALUE


def test_a_result_under_the_wrong_name_is_not_used(tmp_path: Path) -> None:
    other = {**FACTS, "base": "other"}
    keep(tmp_path, "scores", FACTS, VALUE)
    recall(tmp_path, "scores", FACTS).folder.rename(recall(tmp_path, "scores", other).folder)
    assert recall(tmp_path, "scores", other).problem == "it belongs to other inputs"


def test_a_result_cut_short_by_a_kill_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):  # as a kill would: after staging, before the rename
        keep(tmp_path, "scores", FACTS, {"nats": [float("nan")]})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(RunError):
        keep(tmp_path / "cache", "scores", FACTS, VALUE)


def test_a_result_can_be_read_by_people(tmp_path: Path) -> None:
    keep(tmp_path, "scores", FACTS, VALUE)
    stored = json.loads((recall(tmp_path, "scores", FACTS).folder / "result.json").read_text())
    assert (stored["schema"], stored["facts"], stored["value"]) == (1, FACTS, VALUE)
