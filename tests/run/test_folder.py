from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.commit import write_json
from lorascope.run.current import recipe_of, store_sections
from lorascope.run.folder import STAGES, RunFolder, open_run, require
from lorascope.run.recipe import make_recipe, recipe_values


def made(folder: Path) -> RunFolder:
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    write_json(run.config, recipe_values(make_recipe({"base": "gpt2", "data": "rows.json"})))
    return run


def test_a_run_is_opened_by_its_folder(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "first")
    assert open_run(tmp_path / "runs" / "first") == run
    assert open_run(str(run.path)) == run
    assert run.name == "first"


def test_every_path_of_a_run_lies_in_it() -> None:
    run = RunFolder(Path("runs/first"))
    paths = [getattr(run, name) for name, value in vars(RunFolder).items() if isinstance(value, property)]
    inside = [path for path in paths if isinstance(path, Path)]
    assert len(inside) > 10
    assert all(path.parts[:2] == ("runs", "first") for path in inside)
    assert all(run.stage(stage) == Path("runs/first") / stage for stage in STAGES)


def test_a_run_that_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    made(tmp_path / "runs" / "alpaca-small")
    (tmp_path / "runs" / "alpaca-notes").mkdir()
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / "runs" / "alpaca-smal")
    assert 'did you mean "alpaca-small"?' in caught.value.message
    assert "alpaca-notes" not in caught.value.message


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_but_no_run_is_said_to_be_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    path.mkdir() if kind == "folder" else path.write_text("x")
    with pytest.raises(RunError, match="is no run"):
        open_run(path)


def test_a_missing_stage_names_the_command_that_makes_it(tmp_path: Path) -> None:
    run = made(tmp_path / "first")
    with pytest.raises(RunError, match=f"lorascope train {run.path}"):
        require(run.adapter, stage="train", run=run)
    with pytest.raises(RunError, match=f"lorascope prepare DATA --base MODEL --out {run.path}"):
        require(run.dataset, stage="prepare", run=run)
    run.dataset.mkdir(parents=True)
    assert require(run.dataset, stage="prepare", run=run) == run.dataset


def test_the_recipe_of_a_run_takes_overrides_and_leaves_the_file_alone(tmp_path: Path) -> None:
    run = made(tmp_path / "first")
    before = run.config.read_bytes()
    assert recipe_of(run, ["lora.rank=3"]).lora.rank == 3
    assert recipe_of(run).lora.rank == 16
    assert run.config.read_bytes() == before


def test_a_stage_stores_its_sections_and_no_others(tmp_path: Path) -> None:
    run = made(tmp_path / "first")
    recipe = recipe_of(run, ["lora.rank=3", "train.epochs=1", "seed=5"])
    store_sections(run, recipe, "lora")
    stored = recipe_of(run)
    assert (stored.lora.rank, stored.train.epochs, stored.seed) == (3, 3.0, 0)
