"""run: every stage once, nothing twice, nothing silently made again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.cli.run import summary
from lorascope.errors import RunError
from lorascope.pipeline import run_all, train_checked
from lorascope.run.current import recipe_of
from lorascope.run.folder import STAGES, RunFolder
from lorascope.run.progress import Observer

pytestmark = pytest.mark.end_to_end


class _Notes(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def _main(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def _copy(run: RunFolder, to: Path) -> RunFolder:
    shutil.copytree(run.path, to / "copy")
    return RunFolder(to / "copy")


def test_every_stage_leaves_its_folder_and_its_record(finished_run: Any) -> None:
    recorded = json.loads(finished_run.provenance.read_text())["stages"]
    for stage in STAGES:
        assert finished_run.report.is_file() if stage == "report" else finished_run.stage(stage).is_dir()
    assert {"prepare", "check", "train", "eval", "compare", "export"} <= set(recorded)


def test_a_second_run_skips_what_is_up_to_date(finished_run: Any, tmp_path: Path) -> None:
    run = _copy(finished_run, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*.safetensors")}
    seen = _Notes()
    run_all(run, recipe_of(run), merged=finished_run.path / "merged", observer=seen)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*.safetensors")} == before
    for stage in ("prepare", "train", "eval", "compare"):
        assert f"{stage} is up to date" in seen.notes


def test_a_changed_setting_of_a_finished_stage_is_refused_by_name(finished_run: Any, tmp_path: Path) -> None:
    run = _copy(finished_run, tmp_path)
    with pytest.raises(RunError, match='"train" is finished.*lora'):
        train_checked(run, recipe_of(run, ["lora.rank=8"]))


def test_train_checks_by_itself_and_refuses_when_a_check_fails(
    make_run: Any, alpaca_base: Path, alpaca_rows: Any, write_rows: Any
) -> None:
    own = write_rows(alpaca_rows(5), "mine.json")  # five rows that stand in training too
    run = make_run(alpaca_rows(30), alpaca_base, f"prepare.validation={own}")
    with pytest.raises(RunError, match=r"check\.allow=\[overlap\]"):
        train_checked(run, recipe_of(run))
    assert not run.stage("train").exists()
    summary = train_checked(run, recipe_of(run, ["check.allow=[overlap]", "train.epochs=0.5", "lora.rank=2"]))
    assert summary["steps"] == 1


def test_the_command_line_runs_everything_and_prints_one_json_object(
    tmp_path: Path, alpaca_base: Path, alpaca_rows: Any, write_rows: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(alpaca_rows(30), "rows.jsonl")
    out = tmp_path / "out"
    settings = [
        "train.epochs=0.5",
        "lora.rank=2",
        "compare.prompts=1",
        "compare.max_new_tokens=4",
        "compare.examples=2",
    ]
    flags = [part for setting in settings for part in ("--set", setting)]
    assert _main("run", str(data), "--base", str(alpaca_base), "--out", str(out), *flags, "--json") == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert result["eval"]["adapter"]["split"] == "validation"
    assert (out / "report.html").is_file()
    assert (out / "merged" / "model.safetensors").is_file()


def test_a_finished_run_can_be_repeated_from_its_config(
    finished_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    skip = ["--skip", "eval", "--skip", "compare", "--skip", "export"]
    assert _main("run", str(finished_run.config), "--out", str(again), *skip, "--json") == 0
    assert json.loads(capsys.readouterr().out)["differs_from_repeated_run"] == []
    weights = "train/adapter/adapter_model.safetensors"
    assert (again / weights).read_bytes() == (finished_run.path / weights).read_bytes()


def test_a_repeated_run_names_what_differs(
    finished_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _copy(finished_run, tmp_path)
    record = json.loads(source.provenance.read_text())
    record["stages"]["train"]["versions"]["torch"] = "1.0.0"
    source.provenance.write_text(json.dumps(record))
    skip = ["--skip", "eval", "--skip", "compare", "--skip", "export"]
    assert _main("run", str(source.config), "--out", str(tmp_path / "again"), *skip, "--json") == 0
    found = json.loads(capsys.readouterr().out)["differs_from_repeated_run"]
    assert len(found) == 1
    assert found[0].startswith("train: torch was 1.0.0, now ")


def test_skipping_a_stage_that_others_need_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main("run", "rows.json", "--base", "x", "--skip", "prepare") == 1
    assert "compare, eval, export" in capsys.readouterr().err


def test_a_run_that_holds_nothing_out_says_what_it_leaves_out_and_goes_on(
    tmp_path: Path, alpaca_base: Path, alpaca_rows: Any, write_rows: Any
) -> None:
    from lorascope.run.recipe import make_recipe

    recipe = make_recipe(
        {
            "base": str(alpaca_base),
            "data": str(write_rows(alpaca_rows(20))),
            "prepare": {"validation": 0},
            "lora": {"rank": 2},
            "train": {"epochs": 0.5},
        }
    )
    seen = _Notes()
    results = run_all(RunFolder(tmp_path / "out"), recipe, skip=["export"], observer=seen)
    assert "eval" not in results
    assert not any("base" in line for line in summary(results, tmp_path))  # no table of what was not measured
    assert results["diagnose"]["verdict"] == "not_enough_evidence"
    assert any("eval is left out" in note for note in seen.notes)
    assert "has not been measured" in (tmp_path / "out" / "report.html").read_text()


def test_overwriting_a_run_makes_only_what_is_stale(finished_run: Any, tmp_path: Path) -> None:

    from lorascope.eval.stage import eval_run

    shutil.copytree(finished_run.path, tmp_path / "copy")
    run = RunFolder(tmp_path / "copy")
    recipe = recipe_of(run)
    other = recipe.model_copy(update={"eval": recipe.eval.model_copy(update={"batch_size": 3})})
    assert eval_run(run, other, overwrite=True)["base"]["batch_size"] == 3
    trained = run.train_summary.stat().st_mtime_ns
    results = run_all(run, recipe, overwrite=True)
    assert results["eval"]["base"]["batch_size"] == recipe.eval.batch_size != 3
    assert run.train_summary.stat().st_mtime_ns == trained
