"""A mixture takes of each source what its weight or its number of rows says, and never a row twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.cli.prepare import summary
from lorascope.errors import DataError
from lorascope.prepare.mixture import amounts, not_used
from lorascope.prepare.stage import prepare_run
from lorascope.run.data_sections import DataSection
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe, recipe_values
from lorascope.run.records import read_json
from lorascope.run.texts import read_texts


def sections(*settings: dict[str, Any]) -> list[DataSection]:
    return [DataSection(path=f"{n}.json", **one) for n, one in enumerate(settings)]


@pytest.mark.parametrize(
    ("settings", "sizes", "used"),
    [
        ([{}, {}], [10, 20], [10, 20]),
        ([{"rows": 5}, {"rows": 50}], [10, 20], [5, 20]),
        # 10 of weight 1 allow 20 of weight 2 and 5 of weight 0.5.
        ([{"weight": 1}, {"weight": 2}, {"weight": 0.5}], [10, 100, 100], [10, 20, 5]),
        # The second is the scarcest: 6 / 3 = 2 for each unit of weight.
        ([{"weight": 1}, {"weight": 3}, {}], [10, 6, 7], [2, 6, 7]),
        ([{"weight": 1}, {"weight": 1}], [0, 5], [0, 0]),
    ],
)
def test_each_source_gives_what_it_is_asked_for(
    settings: list[dict[str, Any]], sizes: list[int], used: list[int]
) -> None:
    assert amounts(sections(*settings), sizes) == used


def test_rows_are_left_out_at_random_and_only_where_they_may_be() -> None:
    origin_N = np.repeat([0, 1], 500)
    free_N = np.arange(1000) % 5 > 0  # every fifth is held out already
    left_out_N = not_used(origin_N, free_N, [100, 400], seed=3)
    assert (free_N & ~left_out_N)[:500].sum() == 100
    assert left_out_N[500:].sum() == 0
    assert not left_out_N[~free_N].any()
    kept = np.flatnonzero(free_N & ~left_out_N)[:100]
    # The mean place of 100 of 400 rows spread over 0..499 is 250, with a standard error of 12.5.
    assert abs(kept.mean() - 250) < 50
    assert (not_used(origin_N, free_N, [100, 400], seed=3) == left_out_N).all()
    assert (not_used(origin_N, free_N, [100, 400], seed=4) != left_out_N).any()


def rows(what: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"instruction": f"{what} {n}?", "output": f"It is {what}{n}.", **more} for n in range(count)]


@pytest.fixture
def mixed(tmp_path: Path, alpaca_base: Path) -> Any:
    def prepare(*sources: dict[str, Any], **prepare: Any) -> tuple[RunFolder, dict[str, Any]]:
        recipe = make_recipe({"base": str(alpaca_base), "data": list(sources), "prepare": prepare})
        run = RunFolder(tmp_path / "run")
        return run, prepare_run(run, recipe)

    return prepare


@pytest.mark.end_to_end
def test_counts_are_told_source_by_source(mixed: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([*rows("cat", 40), {"instruction": "x", "output": ""}]))
    chats = [
        {"messages": [{"role": "user", "content": f"Hi {n}"}, {"role": "assistant", "content": f"Ho {n}"}]}
        for n in range(30)
    ]
    (tmp_path / "b.json").write_text(json.dumps(chats))
    run, report = mixed(
        {"path": str(tmp_path / "a.json"), "rows": 20},
        {"path": str(tmp_path / "b.json"), "name": "chat"},
        validation=10,
    )
    first, second = report["sources"]
    assert (first["name"], first["rows_read"], first["malformed"], first["not_used"]) == ("a.json", 41, 1, 20)
    assert (second["name"], second["shape"], second["rows_read"], second["not_used"]) == (
        "chat",
        "messages",
        30,
        0,
    )
    texts = read_texts(run.examples)
    assert Counter(text.source for text in texts) == {"a.json": 20, "chat": 30}
    assert (report["kept"], report["not_used"]) == (50, 20)
    dealt = Counter((text.source, text.split) for text in texts)
    told = {
        (one["name"], split): facts["examples"]
        for one in report["sources"]
        for split, facts in one["splits"].items()
    }
    assert dealt == told
    lines = summary(report)
    assert "41 rows, 20 examples not used, kept train" in lines[0]
    assert lines[2].startswith("together 50 of 71 rows kept (train 40, validation 10)")


@pytest.mark.end_to_end
def test_files_of_one_name_in_two_sources_give_ids_of_their_own(mixed: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.json").write_text(json.dumps(rows(name, 12)))
    run, _ = mixed(
        {"path": str(tmp_path / "one" / "rows.json"), "name": "first"},
        {"path": str(tmp_path / "two" / "rows.json"), "name": "second"},
    )
    ids = {text.example_id for text in read_texts(run.examples)}
    assert ids == {f"rows.json#{n}" for n in range(1, 13)} | {f"second/rows.json#{n}" for n in range(1, 13)}


@pytest.mark.end_to_end
def test_overlap_is_seen_across_sources(mixed: Any, tmp_path: Path) -> None:
    (tmp_path / "cats.json").write_text(json.dumps(rows("cat", 20)))
    (tmp_path / "held").mkdir()
    for name, said in (("train", rows("dog", 5)), ("test", [*rows("cat", 3), *rows("cow", 4)])):
        (tmp_path / "held" / f"{name}.json").write_text(json.dumps(said))
    run, report = mixed({"path": str(tmp_path / "cats.json")}, {"path": str(tmp_path / "held")})
    assert report["splits"]["test"]["examples"] == 7
    assert report["overlap"]["test"]["same_both"] == 3  # the three cats, in the other source's training rows
    flagged = {text.example_id: text.overlap for text in read_texts(run.examples) if text.overlap}
    assert flagged == {f"test.json#{n}": "same" for n in (1, 2, 3)}


@pytest.mark.end_to_end
def test_a_mixture_is_written_down_and_made_again_from_what_was_written(
    mixed: Any, tmp_path: Path, alpaca_base: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows(name, 20)))
    run, report = mixed({"path": str(tmp_path / "a.json"), "weight": 1}, {"path": str(tmp_path / "b.json")})
    stored = read_json(run.config)
    assert stored["data"] == [
        {"path": str(tmp_path / "a.json"), "weight": 1.0},
        {"path": str(tmp_path / "b.json")},
    ]
    recipe = make_recipe(stored)
    assert recipe_values(recipe) == stored
    again = prepare_run(RunFolder(tmp_path / "again"), recipe)
    assert again["dataset_sha256"] == report["dataset_sha256"]


@pytest.mark.end_to_end
def test_a_source_without_rows_names_itself(mixed: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(rows("a", 20)))
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(DataError, match='"b.json" holds no rows'):
        mixed({"path": str(tmp_path / "a.json")}, {"path": str(tmp_path / "b.json")})


@pytest.mark.end_to_end
def test_rows_that_stand_in_two_sources_are_counted_by_pairs(mixed: Any, tmp_path: Path) -> None:
    shared = rows("cow", 7)
    (tmp_path / "a.json").write_text(json.dumps([*rows("cat", 20), *shared, shared[0]]))
    (tmp_path / "b.json").write_text(json.dumps([*rows("dog", 20), *shared]))
    (tmp_path / "c.json").write_text(json.dumps(rows("emu", 20)))
    _, report = mixed(*({"path": str(tmp_path / f"{name}.json"), "name": name} for name in "abc"))
    # Seven rows stand in both; that one of them stands twice in a is a duplicate, and no further row.
    assert report["duplicates"]["across_sources"] == {"a and b": 7}
    assert "rows that stand in two sources: a and b 7" in summary(report)


@pytest.mark.end_to_end
def test_rows_that_name_their_split_stay_there(mixed: Any, tmp_path: Path) -> None:
    named = [
        {**row, "split": "test" if n < 5 else "dev" if n < 9 else "train"}
        for n, row in enumerate(rows("cat", 40))
    ]
    (tmp_path / "a.json").write_text(json.dumps(named))
    run, report = mixed({"path": str(tmp_path / "a.json")})
    assert {name: one["examples"] for name, one in report["splits"].items()} == {
        "train": 31,
        "validation": 4,
        "test": 5,
    }
    where = {text.messages[0].content: text.split for text in read_texts(run.examples)}
    assert [where[f"cat {n}?"] for n in (0, 4, 5, 8, 9)] == [
        "test",
        "test",
        "validation",
        "validation",
        "train",
    ]
    assert report["unused_columns"] == []
