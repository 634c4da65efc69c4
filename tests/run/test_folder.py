import shlex
from pathlib import Path

import pytest

from lorascope.errors import RunError, parts
from lorascope.run.commit import write_json
from lorascope.run.current import recipe_of, store_sections
from lorascope.run.folder import STAGES, RunFolder, command_for, open_run, require
from lorascope.run.recipe import make_recipe, recipe_values
from lorascope.run.records import read_json

RECIPE = make_recipe({"base": "gpt2", "data": "rows.json"})


def made(folder: Path) -> RunFolder:
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    write_json(run.config, recipe_values(RECIPE))
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


@pytest.mark.parametrize("name", ["my first", "a;b", "$x", "it's"])
def test_a_suggested_command_is_one_a_shell_takes(name: str, tmp_path: Path) -> None:
    run = made(tmp_path / name)
    with pytest.raises(RunError) as caught:
        require(run.adapter, stage="train", run=run)
    fix = parts(caught.value.message)["fix"]
    assert shlex.split(fix) == ["lorascope", "train", str(run.path)]
    with pytest.raises(RunError) as caught:
        open_run(tmp_path / f"{name}2")
    start = parts(caught.value.message)["fix"].partition("or start one: ")[2]
    assert shlex.split(start)[1:] == [
        "prepare",
        "DATA",
        "--base",
        "MODEL",
        "--out",
        str(tmp_path / f"{name}2"),
    ]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = made(tmp_path / "runs" / "first")
    assert open_run("~/runs/first") == run
    assert RunFolder(Path("~/runs/first")).path == run.path


@pytest.mark.parametrize("text", ["", '{"base": ', "[1]", "\udcff"])
def test_a_damaged_config_is_to_be_restored_or_prepared_again(text: str, tmp_path: Path) -> None:
    run = made(tmp_path / "my first")
    run.config.write_bytes(text.encode(errors="surrogateescape"))
    for reads in (recipe_of, lambda one: read_json(one.config), lambda one: store_sections(one, RECIPE)):
        with pytest.raises(RunError) as caught:
            reads(run)
        said = parts(caught.value.message)
        assert said["where"] == str(run.config)
        assert "restore it from a copy, or prepare the run again" in said["fix"]
        command = said["fix"][said["fix"].index("lorascope") :]
        assert shlex.split(command)[-3:] == ["--out", str(run.path), "--overwrite"]


def test_a_command_that_makes_a_stage_again_is_one_that_exists() -> None:
    run = RunFolder(Path("runs/first"))
    again = {stage: command_for(run, stage, overwrite=True) for stage in STAGES}
    assert again["train"] == "lorascope train runs/first --overwrite"
    assert again["export"] == "lorascope export runs/first --merged DIR --overwrite"
    # These three are always made again, and their commands know no --overwrite.
    assert [stage for stage in STAGES if "--overwrite" not in again[stage]] == ["check", "diagnose", "report"]


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
