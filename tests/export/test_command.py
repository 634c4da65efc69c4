"""`lorascope export` as a program."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.export import stage

pytestmark = pytest.mark.end_to_end


def test_json_is_one_object_and_nothing_else(
    alpaca_base: Path, adapted_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = adapted_run(alpaca_base)
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run.path), "--merged", str(tmp_path / "m"), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0 and printed["proof"]["agrees"] and printed["target"] == str(tmp_path / "m")


def test_people_read_what_was_proven(
    alpaca_base: Path, adapted_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = adapted_run(alpaca_base)
    with pytest.raises(SystemExit):
        main(["export", str(run.path), "--merged", str(tmp_path / "m"), "--dtype", "bf16"])
    out = capsys.readouterr().out
    assert "proven equal to base + adapter on 6 validation examples" in out
    assert "rounded once to bf16" in out and "next: lorascope report" in out


def test_a_disagreement_is_exit_status_1(
    alpaca_base: Path,
    adapted_run: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def halved(pair: Any) -> Any:
        model = real(pair)
        model.get_output_embeddings().weight.data *= 0.5
        return model

    real = stage.merge_in_place
    monkeypatch.setattr(stage, "merge_in_place", halved)
    run = adapted_run(alpaca_base)
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run.path), "--merged", str(tmp_path / "m")])
    assert stop.value.code == 1 and not (tmp_path / "m").exists()
    assert "the merged model is not base + adapter" in capsys.readouterr().err
