"""What is measured is what was trained: changed adapters, data and base models are refused, not scored."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import lorascope
from lorascope.errors import RunError
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import adapter_hash, trained_adapter


@pytest.fixture
def run(finished_run: Any, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished_run.path, tmp_path / "copy")
    return RunFolder(tmp_path / "copy")


def test_the_runs_own_adapter_is_vouched_for(run: RunFolder) -> None:
    assert trained_adapter(run, "last") == run.adapter


def test_an_adapter_whose_alpha_was_edited_is_refused(run: RunFolder) -> None:
    path = run.adapter / "adapter_config.json"
    before = adapter_hash(run.adapter)
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "lora_alpha": 64}))
    assert adapter_hash(run.adapter) != before
    with pytest.raises(RunError, match=r"adapter_config\.json"):
        trained_adapter(run, "last")


def test_data_prepared_again_after_training_is_refused(run: RunFolder) -> None:
    report = json.loads(run.prepare_report.read_text())
    run.prepare_report.write_text(json.dumps({**report, "dataset_sha256": "0" * 64}))
    with pytest.raises(RunError, match="prepared again after this adapter was trained"):
        trained_adapter(run, "best")


@pytest.mark.parametrize("stage", ["check", "eval", "compare", "export", "train"])
def test_prepared_data_that_was_edited_is_refused_by_every_stage(run: RunFolder, stage: str) -> None:
    dataset = run.dataset / "validation" / "data-00000-of-00001.arrow"
    content = bytearray(dataset.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one label or token
    dataset.write_bytes(content)
    more = {"merged": run.path / "again"} if stage == "export" else {}
    with pytest.raises(RunError, match=r"data-00000-of-00001\.arrow was changed after it was written"):
        getattr(lorascope, stage)(run.path, **more)


def test_an_interrupted_training_names_resume(run: RunFolder) -> None:
    shutil.rmtree(run.adapter)
    with pytest.raises(RunError, match="--resume"):
        trained_adapter(run, "last")


def test_a_base_model_exchanged_in_place_makes_its_stages_stale(
    run: RunFolder, finished_run: Any, tmp_path: Path
) -> None:
    from lorascope.lm.fingerprint import base_identity
    from lorascope.pipeline import train_checked
    from lorascope.run.current import recipe_of

    recipe = recipe_of(run)
    other = tmp_path / "base"
    shutil.copytree(recipe.base.id, other)
    assert base_identity(str(other)) == base_identity(
        recipe.base.id
    )  # the same files elsewhere are the same model
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert base_identity(str(other)) != base_identity(recipe.base.id)
    config = json.loads(run.config.read_text())
    config["base"]["id"] = str(other)
    run.config.write_text(json.dumps(config))
    with pytest.raises(RunError, match="base weights has changed"):
        train_checked(run, recipe_of(run))


def test_a_base_that_an_adapter_was_not_trained_on_is_refused_without_a_run_too(
    run: RunFolder, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from lorascope.errors import ModelError
    from lorascope.run.current import recipe_of
    from lorascope.without_run import compare_without_run, eval_without_run

    other = tmp_path / "other"
    shutil.copytree(recipe_of(run).base.id, other)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if "c_attn.weight" in name)
    weights[name] = weights[name] + 0.01
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    given: dict[str, Any] = {
        "base": str(other),
        "adapter": str(run.adapter),
        "data": run.dataset,
        "settings": (),
    }
    with pytest.raises(ModelError, match="base"):
        eval_without_run(**given)
    with pytest.raises(ModelError, match="base"):
        compare_without_run(**given, prompts=None)


def test_diagnose_says_that_the_data_was_prepared_again(run: RunFolder) -> None:
    from lorascope.diagnose.stage import diagnose_run

    assert not [one for one in diagnose_run(run)["findings"] if one["rule"] == "prepared_again"]
    report = json.loads(run.prepare_report.read_text())
    run.prepare_report.write_text(json.dumps({**report, "dataset_sha256": "0" * 64}))
    first = diagnose_run(run)["findings"][0]
    assert (first["rule"], first["severity"]) == ("prepared_again", "critical")
