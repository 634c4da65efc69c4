"""Base results survive a training with other settings, and an evaluation that reuses them is the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.run.current import recipe_of
from lorascope.run.folder import RunFolder
from lorascope.run.provenance import stage_record

pytestmark = pytest.mark.end_to_end

ANSWERS = ("eval.generate=3", "eval.max_new_tokens=4")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "MANIFEST.json"}


def test_an_evaluation_with_reused_base_results_is_the_computed_one_byte_for_byte(
    own_run: RunFolder, evaluate: Any
) -> None:
    first = evaluate(own_run, *ANSWERS)
    assert stage_record(own_run, "eval")["reused"] == []
    computed = contents(own_run.stage("eval"))
    second = evaluate(own_run, *ANSWERS, overwrite=True)
    reused = stage_record(own_run, "eval")["reused"]
    assert [name.rpartition("-")[0] for name in reused] == ["base-scores", "base-answers"]
    assert second == first
    assert contents(own_run.stage("eval")) == computed


def test_another_training_and_another_metric_reuse_what_the_base_said(
    own_run: RunFolder, evaluate: Any
) -> None:
    from lorascope.train.stage import train_run

    first = evaluate(own_run, *ANSWERS)
    settings = ["lora.rank=2", "lora.target_modules=[c_fc]", "train.epochs=1"]
    train_run(own_run, recipe_of(own_run, settings), overwrite=True)
    second = evaluate(own_run, *ANSWERS, "eval.group_by=family", overwrite=True)
    assert len(stage_record(own_run, "eval")["reused"]) == 2
    for name in ("eval_loss", "token_accuracy"):
        assert second["base"][name] == first["base"][name]
        assert second["adapter"][name] != first["adapter"][name]
    # and the reused scores are those that this adapter's own base gives, to the last bit
    (own_run.cache).rename(own_run.path / "away")
    fresh = evaluate(own_run, *ANSWERS, "eval.group_by=family", overwrite=True)
    assert fresh == second


def test_more_answers_compute_answers_and_reuse_scores(own_run: RunFolder, evaluate: Any) -> None:
    evaluate(own_run, *ANSWERS)
    evaluate(own_run, "eval.generate=4", "eval.max_new_tokens=4", overwrite=True)
    (name,) = stage_record(own_run, "eval")["reused"]
    assert name.startswith("base-scores-")


def test_the_command_says_what_it_reused_and_standard_output_stays_json(
    own_run: RunFolder, evaluate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(own_run)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(own_run.path), "--adapter", "best", "--overwrite", "--json"])
    assert stopped.value.code == 0
    out, err = capsys.readouterr()
    assert "base" in json.loads(out)
    assert "base scores reused from" in " ".join(err.split())


def test_a_second_comparison_reuses_the_answers_of_the_base(own_run: RunFolder) -> None:
    from lorascope.compare.stage import compare_run

    settings = ["compare.prompts=2", "compare.examples=4", "compare.max_new_tokens=4"]
    first = compare_run(own_run, recipe_of(own_run, settings))
    again = compare_run(own_run, recipe_of(own_run, settings), overwrite=True)
    assert len(stage_record(own_run, "compare")["reused"]) == 2  # greedy and sampled
    assert again == first
