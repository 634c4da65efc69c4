"""export on tiny models, against transformers and peft used plainly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.errors import ConfigError, ModelError
from lorascope.export import stage
from lorascope.lm.load import load_base
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.provenance import read_provenance

pytestmark = pytest.mark.end_to_end

Run = Any
Export = Callable[..., dict[str, Any]]


def plainly_adapted(base: Path, adapter: Path) -> Any:
    """Base with adapter by transformers and peft alone."""
    import warnings

    import peft
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return peft.PeftModel.from_pretrained(model, str(adapter)).eval()


def plainly_loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def logits_of(model: Any, run: Run) -> list[torch.Tensor]:
    """Logits that predict target tokens, one validation example at a time, without padding."""
    examples, _ = load_examples(run.dataset, "validation")
    return [
        model(torch.from_numpy(e.input_ids)[None]).logits[0, :-1][torch.from_numpy(e.labels[1:] != IGNORE)]
        for e in examples
    ]


def test_the_merged_model_is_what_peft_merges(exported: Any) -> None:
    run, target, base_folder = exported.run, exported.target, exported.base
    expected = plainly_adapted(base_folder, run.adapter).merge_and_unload().state_dict()
    found = plainly_loaded(target).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    base = plainly_loaded(base_folder).state_dict()
    assert not all(torch.equal(found[name], base[name]) for name in base)  # the oracle did merge something


def test_the_proof_reports_what_plain_transformers_measures(exported: Any) -> None:
    run, proof, base_folder = exported.run, exported.report["proof"], exported.base
    adapted = logits_of(plainly_adapted(base_folder, run.adapter), run)
    base = logits_of(plainly_loaded(base_folder), run)
    positions = sum(len(rows) for rows in adapted)
    assert (proof["split"], proof["num_examples"], proof["float32"]["num_positions"]) == (
        "validation",
        6,
        positions,
    )
    effect = max(float((a - b).abs().max()) for a, b in zip(adapted, base, strict=True))
    assert proof["adapter_effect"] == pytest.approx(effect, rel=1e-4)
    scale = max(float((a - a.mean(-1, keepdim=True)).abs().max()) for a in adapted)
    assert proof["float32"]["logit_scale"] == pytest.approx(scale, rel=1e-4)
    # Logits of this scale have float32 spacing below 1e-6 of it; a dozen roundings in a row stay below 1e-5.
    assert proof["float32"]["max_logit_difference"] < 1e-5 * scale < 1e-2 * effect
    assert proof["float32"]["top_1_agreement"] == 1.0


def test_the_loss_of_the_proof_is_that_of_the_whole_split(exported: Any) -> None:
    run, proof = exported.run, exported.report["proof"]
    examples, _ = load_examples(run.dataset, "validation")
    nll, count = 0.0, 0
    for logit_SV, example in zip(
        logits_of(plainly_adapted(exported.base, run.adapter), run), examples, strict=True
    ):
        targets = torch.from_numpy(example.labels[1:][example.labels[1:] != IGNORE])
        nll += float(torch.nn.functional.cross_entropy(logit_SV.double(), targets, reduction="sum"))
        count += len(targets)
    assert proof["target_tokens"] == count
    assert proof["float32"]["reference_loss"] == pytest.approx(nll / count, rel=1e-6)
    assert proof["float32"]["loss"] == pytest.approx(nll / count, rel=1e-6)


def test_a_run_without_validation_is_proven_on_training_rows(
    alpaca_base: Path, adapted_run: Callable[..., Run], export: Export
) -> None:
    report = export(adapted_run(alpaca_base, "prepare.validation=0"))
    assert report["proof"]["split"] == "train" and report["proof"]["num_examples"] == 24


def test_a_merge_that_went_wrong_is_caught_and_leaves_nothing(
    base_folder: Path,
    adapted_run: Callable[..., Run],
    export: Export,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # One of all weights is off: the head's input direction 0 moves by 0.05 for every token of odd id.
    def save_with_a_flaw(model: Any, *rest: Any) -> str:
        model.get_output_embeddings().weight.data[1::2, 0] += 0.05
        return real(model, *rest)

    real = stage.save_merged
    monkeypatch.setattr(stage, "save_merged", save_with_a_flaw)
    run = adapted_run(base_folder)
    with pytest.raises(ModelError, match=r"the merged model is not base \+ adapter: a logit differs by"):
        export(run)
    assert not (tmp_path / "merged").exists() and not list(tmp_path.glob(".*"))
    assert not run.stage("export").exists() and "export" not in read_provenance(run)["stages"]


def test_weights_that_change_on_their_way_to_disk_are_caught(
    alpaca_base: Path,
    adapted_run: Callable[..., Run],
    export: Export,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # The smallest change there is, one bit of one weight: no logit would show it.
    def reload_with_a_flaw(folder: Path, device: torch.device) -> Any:
        model = real(folder, device)
        weight = next(model.parameters()).data.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
        return model

    real = stage.reload_merged
    monkeypatch.setattr(stage, "reload_merged", reload_with_a_flaw)
    with pytest.raises(ModelError, match="read back from disk are not those that were merged"):
        export(adapted_run(alpaca_base))
    assert not (tmp_path / "merged").exists()


def test_a_failed_export_leaves_the_earlier_one_as_it_was(
    alpaca_base: Path,
    adapted_run: Callable[..., Run],
    export: Export,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run = adapted_run(alpaca_base)
    export(run)
    before = {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()}

    def no_power(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "reload_merged", no_power)
    with pytest.raises(KeyboardInterrupt):
        export(run, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()} == before


def test_an_adapter_that_changes_nothing_is_named(
    base_folder: Path, adapted_run: Callable[..., Run], export: Export, tmp_path: Path
) -> None:
    report = export(adapted_run(base_folder, spread=0.0))
    assert report["changes_nothing"] and report["proof"]["adapter_effect"] == 0
    assert "changes nothing" in report["note"]
    assert "this is the base model" in (tmp_path / "merged" / "README.md").read_text()


def test_an_adapter_too_weak_for_the_proof_is_said_to_be_so(
    alpaca_base: Path, adapted_run: Callable[..., Run], export: Export
) -> None:
    # B a hundred thousand times smaller than usual: its effect lies far below a thousandth of the logits'
    # scale.
    report = export(adapted_run(alpaca_base, spread=2e-7))
    assert not report["changes_nothing"]
    assert 0 < report["proof"]["adapter_effect"] < report["proof"]["float32"]["logit_tolerance"]
    assert "cannot tell the merged model from the base model" in report["note"]


def test_bf16_is_the_float32_merge_rounded_once(
    base_folder: Path, adapted_run: Callable[..., Run], export: Export, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    run = adapted_run(base_folder)
    report = export(run, dtype="bf16")
    merged = plainly_adapted(base_folder, run.adapter).merge_and_unload()
    expected = {name: weight.to(torch.bfloat16) for name, weight in merged.named_parameters()}
    stored = load_file(tmp_path / "merged" / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.bfloat16}
    assert all(torch.equal(stored[name], expected[name]) for name in stored)
    proof = report["proof"]
    assert proof["agrees"] and proof["weight_rounding"] == 2.0**-9  # 8 significant bits, rounded to nearest
    assert proof["stored"]["max_logit_difference"] > 10 * proof["float32"]["max_logit_difference"]
    a, b = (
        logits_of(plainly_adapted(base_folder, run.adapter), run),
        logits_of(plainly_loaded(tmp_path / "merged"), run),
    )
    worst = max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))
    assert proof["stored"]["max_logit_difference"] == pytest.approx(worst, rel=1e-3)


def test_a_format_that_does_not_exist_is_refused(
    alpaca_base: Path, adapted_run: Callable[..., Run], export: Export
) -> None:
    with pytest.raises(ConfigError, match='"int4" is no format'):
        export(adapted_run(alpaca_base), dtype="int4")


def test_another_base_than_in_training_is_refused(
    alpaca_base: Path, adapted_run: Callable[..., Run], export: Export
) -> None:
    run = adapted_run(alpaca_base)
    provenance = read_provenance(run)
    provenance["stages"]["train"] = {"base_sha256": "0" * 64}
    run.provenance.write_text(json.dumps(provenance))
    with pytest.raises(ModelError, match="not the one this adapter was trained on"):
        export(run)


def test_the_bases_own_dropout_is_saved_as_it_came(
    dropout_folder: Path, adapted_run: Callable[..., Run], export: Export, tmp_path: Path
) -> None:
    export(adapted_run(dropout_folder))
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["resid_pdrop"] == 0.25


def test_an_export_is_made_once(
    alpaca_base: Path, adapted_run: Callable[..., Run], export: Export, tmp_path: Path
) -> None:
    run = adapted_run(alpaca_base)
    first = export(run)
    written = (tmp_path / "merged" / "model.safetensors").stat().st_mtime_ns
    assert export(run) == first
    assert (tmp_path / "merged" / "model.safetensors").stat().st_mtime_ns == written
    assert read_provenance(run)["stages"]["export"]["target"] == str(tmp_path / "merged")


def test_the_report_names_the_target_and_the_proof_beside_the_weights_does_not(exported: Any) -> None:
    # What is published tells nothing about the machine it was made on.
    stored = json.loads((exported.run.stage("export") / "report.json").read_text())
    shipped = json.loads((exported.target / "lorascope_proof.json").read_text())
    assert stored == exported.report and exported.report["target"] == str(exported.target)
    assert shipped == {key: value for key, value in exported.report.items() if key != "target"}
    texts = [path.read_text() for path in exported.target.iterdir() if path.suffix in (".json", ".md")]
    for folder in (exported.target.parent, exported.base.parent):
        assert not any(str(folder) in text for text in texts)


def test_the_merged_folder_is_a_base_model_without_any_trace_of_peft(exported: Any) -> None:
    model = load_base(str(exported.target))
    assert all(bool(weight.isfinite().all()) for weight in model.parameters())
    assert not hasattr(model, "peft_config") and not (exported.target / "adapter_config.json").exists()


def test_the_model_read_back_is_proven_in_packed_rows(exported: Any) -> None:
    from lorascope.export.merge import reload_merged
    from lorascope.lm.passes import settle

    examples, _ = load_examples(exported.run.dataset, "validation")
    model = reload_merged(exported.target, torch.device("cpu"))
    assert settle(model, examples, pad_id=0).told.startswith("packed rows")
