"""Where a merged model may go."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorascope.errors import RunError
from lorascope.export import target as target_module
from lorascope.export.target import holds_export, refuse_full_disk
from lorascope.run.folder import STAGES, RunFolder

pytestmark = pytest.mark.end_to_end


def test_a_new_or_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = RunFolder(tmp_path / "run")
    assert not holds_export(run, tmp_path / "new") and not holds_export(run, tmp_path / "empty")
    assert not holds_export(run, run.path / "merged")  # inside the run, but in no stage's folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_of_a_stage_is_refused(tmp_path: Path, stage: str) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match="lies inside the stage folder"):
        holds_export(run, tmp_path / "run" / "elsewhere" / ".." / stage / "merged")


def test_foreign_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"no export of ours wrote: thesis\.tex"):
        holds_export(RunFolder(tmp_path / "run"), tmp_path / "mine")


def test_a_file_is_no_place_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        holds_export(RunFolder(tmp_path / "run"), tmp_path / "file")


def test_foreign_files_beside_an_export_are_never_replaced(
    alpaca_base: Path, adapted_run: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    run = adapted_run(alpaca_base)
    export(run)
    (tmp_path / "merged" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes\.txt"):
        export(run, overwrite=True)
    assert (tmp_path / "merged" / "notes.txt").read_text() == "mine"


def test_another_adapter_replaces_an_export_only_when_told_to(
    alpaca_base: Path,
    adapted_run: Callable[..., Any],
    export: Callable[..., Any],
    random_adapter: Callable[..., None],
) -> None:
    run = adapted_run(alpaca_base)
    first = export(run)
    random_adapter(alpaca_base, run.adapter, seed=1)
    with pytest.raises(RunError, match="adapter has changed"):
        export(run)
    assert export(run, overwrite=True)["adapter_sha256"] != first["adapter_sha256"]


def test_a_second_place_needs_no_permission(
    alpaca_base: Path, adapted_run: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    # Nothing is lost by it: the first export stays where it is.
    run = adapted_run(alpaca_base)
    export(run)
    assert export(run, merged=tmp_path / "other")["target"] == str(tmp_path / "other")
    report = export(run)  # both are this export, so neither is made again; the record names the newest place
    assert report["target"] == str(tmp_path / "merged")
    assert json.loads((run.stage("export") / "report.json").read_text()) == report


def test_a_changed_export_is_replaced_only_when_told_to(
    alpaca_base: Path, adapted_run: Callable[..., Any], export: Callable[..., Any], tmp_path: Path
) -> None:
    run = adapted_run(alpaca_base)
    export(run)
    (tmp_path / "merged" / "README.md").write_text("my own card")
    with pytest.raises(RunError, match=r"was changed after it was exported: README\.md"):
        export(run)
    export(run, overwrite=True)
    assert "my own card" not in (tmp_path / "merged" / "README.md").read_text()


def test_a_disk_too_small_is_found_before_anything_is_written(
    alpaca_base: Path,
    adapted_run: Callable[..., Any],
    export: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(RunError, match=r"needs 0\.06 GiB, 0\.00 GiB are free"):
        export(adapted_run(alpaca_base))
    assert not (tmp_path / "merged").exists()


def test_the_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    refuse_full_disk(tmp_path / "a" / "b" / "c", 1)  # none of them exists; tmp_path does
