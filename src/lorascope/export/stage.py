"""export: base + adapter -> a merged model, proven equal after it was read back from disk."""

import gc
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.errors import ConfigError, ModelError, RunError, explain, nearest
from lorascope.export.card import CardFacts, card_text, shown_base
from lorascope.export.merge import (
    DTYPES,
    load_for_merge,
    merge_in_place,
    num_weights,
    reload_merged,
    save_merged,
    weights_sha256,
)
from lorascope.export.proof import (
    Agreement,
    Measured,
    ProofRows,
    choose_rows,
    compare,
    largest_difference,
    loss_change,
    measure,
    text_logits,
)
from lorascope.export.target import PROOF, holds_export, refuse_full_disk
from lorascope.lm.adapter import read_adapter_config
from lorascope.lm.pair import Pair, find_adapter
from lorascope.lm.template_record import load_template
from lorascope.run.commit import committed_folder, folder_problem, write_json, write_text
from lorascope.run.dataset import load_examples, load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import adapter_hash, prepared_data, trained_adapter, trained_base
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import (
    Overwrite,
    StageClock,
    StageInputs,
    record_stage,
    stage_record,
    versions,
)
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe

_BYTES = {"float32": 4, "bf16": 2}
_TRAIN_ROWS = 200  # where there is no validation split


def export_run(
    run: RunFolder,
    recipe: Recipe,
    *,
    merged: Path,
    adapter: str = "last",
    dtype: str = "float32",
    overwrite: Overwrite = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Merge a run's adapter into its base model, prove it, and write the folder `merged`.

    Args:
        run: Trained.
        recipe: Names the base model.
        merged: Where the model goes; it appears whole or not at all.
        adapter: "last", "best" or a path.
        dtype: What weights are stored in, "float32" or "bf16".
        overwrite: Whether an earlier export at `merged` may be replaced.
        observer: Told about progress.

    Returns:
        export/report.json.

    Raises:
        RunError: The run is not trained, or `merged` is no place for a model.
        ModelError: The parts do not fit, or the merged model is not what base and adapter were.
        NumericsError: A merged weight or a logit is not finite.
    """
    clock = StageClock()
    _refuse_unknown_dtype(dtype)
    prepared_data(run)
    folder = find_adapter(trained_adapter(run, adapter))
    lora = read_adapter_config(folder)
    inputs = _inputs(run, recipe, folder, dtype)
    earlier = _earlier(run, inputs, merged, overwrite=overwrite)
    if earlier is not None:
        observer.note("export is up to date")
        _record(run, inputs, earlier, clock)
        return earlier
    pair = load_for_merge(recipe.base, folder, trained_base(run))
    template = load_template(run.template, pair.tokenizer)
    weights = num_weights(pair.model)
    refuse_full_disk(merged, weights * _BYTES[dtype])
    rows = _rows(run, len(pair.tokenizer))
    report: dict[str, Any] = {
        "schema": 1,
        "target": str(merged),
        **_identity(inputs),
        "weights": weights,
        "base_sha256": pair.base_sha256,
        "adapter": adapter if adapter in ("last", "best") else Path(adapter).name,
        "stop_ids": list(template.stop_ids),
        "stop_tokens": [pair.tokenizer.convert_ids_to_tokens(i) for i in template.stop_ids],
    }
    with committed_folder(merged.expanduser().resolve(), replace=True) as staged:
        report["proof"] = _merge_and_prove(pair, template, rows, staged, dtype, merged, observer)
        report["changes_nothing"] = report["proof"]["adapter_effect"] == 0
        report["note"] = _note(report["proof"])
        write_json(staged / PROOF, {key: value for key, value in report.items() if key != "target"})
        write_text(staged / "README.md", card_text(_card_facts(run, recipe, pair, template, lora, report)))
    _record(run, inputs, report, clock)
    return report


def _record(run: RunFolder, inputs: StageInputs, report: dict[str, Any], clock: StageClock) -> None:
    """Write export/report.json and the provenance, where they do not say this already."""
    stored = run.stage("export") / "report.json"
    if stored.is_file() and read_json(stored) == report:
        return
    with committed_folder(run.stage("export"), replace=True) as staged:
        write_json(staged / "report.json", report)
    facts = {"base_sha256": report["base_sha256"], "precision": "float32", "target": report["target"]}
    record_stage(run, inputs, resolved=inputs.settings, clock=clock, facts=facts)


def _merge_and_prove(
    pair: Pair, template: Any, rows: ProofRows, staged: Path, dtype: str, target: Path, observer: Observer
) -> dict[str, Any]:
    """Measure, merge, save, read back, measure again; the model is in memory once at any time."""
    device = next(pair.model.parameters()).device
    passes = 2 if dtype == "float32" else 3
    with observer.task("proving the merge", passes * len(rows.examples), "examples") as advance:
        reference = measure(pair.model, rows, pad_id=pair.pad_id, advance=advance)
        with pair.base() as base:
            effect = largest_difference(reference.logits, text_logits(base, rows, pad_id=pair.pad_id))
        model = merge_in_place(pair)
        agreement = None
        if dtype != "float32":  # what is stored is rounded, so the merge itself is proven before that
            agreement = compare(reference, measure(model, rows, pad_id=pair.pad_id, advance=advance), rows)
            _insist(agreement, target)
        expected = save_merged(model, pair.tokenizer, template, staged, dtype)
        pair.model.base_model.model = model = None  # PEFT's wrapper would keep the merged weights alive
        gc.collect()
        model = reload_merged(staged, device)
        if weights_sha256(model, dtype) != expected:
            raise _not_equal("the weights read back from disk are not those that were merged", target)
        found = measure(model, rows, pad_id=pair.pad_id, advance=advance)
    stored = compare(reference, found, rows)
    if agreement is None:
        _insist(stored, target)
    return _proof(reference, found, agreement or stored, stored, rows, effect, expected, dtype)


def _proof(
    reference: Measured,
    found: Measured,
    float32: Agreement,
    stored: Agreement,
    rows: ProofRows,
    effect: float,
    weights: str,
    dtype: str,
) -> dict[str, Any]:
    return {
        "agrees": not float32.failures,
        "forward_pass": "float32",
        "split": rows.split,
        "num_examples": len(rows.examples),
        "num_texts": len(rows.num_positions),
        "target_tokens": int(np.sum(reference.scores.num_tokens_N)),
        "adapter_effect": effect,
        "float32": float32.as_dict(),
        "stored": stored.as_dict(),
        "stored_loss_change": loss_change(reference, found),
        "weights_sha256": weights,
        "weights_read_back_equal": True,
        # Half a unit in the last place: bf16 keeps 8 significant bits, float32 stores the merge as it is.
        "weight_rounding": 0.0 if dtype == "float32" else 2.0**-9,
    }


def _insist(agreement: Agreement, target: Path) -> None:
    if agreement.failures:
        raise _not_equal(
            f"the merged model is not base + adapter: {agreement.failures[0]}", target, agreement.failures
        )


def _not_equal(problem: str, target: Path, failures: list[str] | None = None) -> ModelError:
    return ModelError(
        explain(
            problem,
            where=str(target),
            why="; ".join(failures[1:])
            if failures and failures[1:]
            else "what would be shipped is not what was measured",
            fix="nothing was written; serve base and adapter as they are, and compare peft's version with "
            "the one in provenance.json",
        )
    )


def _note(proof: dict[str, Any]) -> str | None:
    """What a reader must know who takes the proof for more than it is."""
    effect, tolerance = proof["adapter_effect"], proof["float32"]["logit_tolerance"]
    if effect == 0:
        return "the adapter changes nothing: every logit is that of the base model, bit for bit"
    if effect <= tolerance:
        return (
            f"the adapter moves no logit by more than {effect:.2e}, which is within the tolerance of "
            f"{tolerance:.2e}: the proof cannot tell the merged model from the base model"
        )
    return None


def _inputs(run: RunFolder, recipe: Recipe, adapter: Path, dtype: str) -> StageInputs:
    hashes = {
        "dataset": read_json(run.prepare_report)["dataset_sha256"],
        "adapter": adapter_hash(adapter),
        "template": read_json(run.template)["sha256"],
    }
    return StageInputs(stage="export", settings={"base": recipe.base.id, "dtype": dtype}, hashes=hashes)


def _earlier(
    run: RunFolder, inputs: StageInputs, merged: Path, *, overwrite: Overwrite
) -> dict[str, Any] | None:
    """The report of this very export where `merged` holds it; refuses to replace another one unasked.

    The folder itself says what it is, so a run may be exported to several places.
    """
    if not holds_export(run, merged) or overwrite is True:
        return None
    stored = read_json(_place(merged) / PROOF)
    wanted = _identity(inputs)
    changes = [
        f"{name.removesuffix('_sha256')} has changed" for name in wanted if stored.get(name) != wanted[name]
    ]
    problem = folder_problem(_place(merged))
    if not changes and problem is None:
        return {"schema": stored["schema"], "target": str(merged), **stored}
    if overwrite == "stale":
        return None
    raise RunError(
        explain(
            f'"{merged}" holds another export: {"; ".join(changes)}'
            if changes
            else f'"{merged}" was changed after it was exported: {problem}',
            where=str(merged),
            why="somebody may be serving it",
            fix="add --overwrite to replace it, or choose another --merged",
        )
    )


def _identity(inputs: StageInputs) -> dict[str, str]:
    """What makes two exports the same, without naming a folder of this machine."""
    hashes = {f"{name}_sha256": value for name, value in inputs.hashes.items()}
    return {"base": shown_base(inputs.settings["base"]), "dtype": inputs.settings["dtype"], **hashes}


def _place(path: Path | str) -> Path:
    return Path(path).expanduser().resolve()


def _rows(run: RunFolder, vocabulary: int) -> ProofRows:
    """The whole validation split, or the first examples of training where there is none."""
    split = "validation" if "validation" in load_splits(run.dataset) else "train"
    examples, _ = load_examples(run.dataset, split)
    chosen = examples if split == "validation" else examples[:_TRAIN_ROWS]
    return choose_rows(split, chosen, vocabulary)


def _card_facts(
    run: RunFolder, recipe: Recipe, pair: Pair, template: Any, lora: dict[str, Any], report: dict[str, Any]
) -> CardFacts:
    prepared = read_json(run.prepare_report)
    return CardFacts(
        name=_place(report["target"]).name,
        base=recipe.base.id,
        base_sha256=pair.base_sha256,
        data={
            "file": prepared["file"],
            "sha256": stage_record(run, "prepare").get("inputs", {}).get("data"),
            "splits": prepared["splits"],
        },
        lora=lora,
        train=stage_record(run, "train").get("resolved", {}).get("train", {}),
        template=template,
        report=report,
        measured=_measured(run, report["adapter_sha256"]),
        version=str(versions()["lorascope"]),
    )


def _measured(run: RunFolder, adapter_sha256: str) -> dict[str, Any] | None:
    """What eval found, if it was this very adapter that it looked at."""
    folder = run.stage("eval")
    same = stage_record(run, "eval").get("inputs", {}).get("adapter") == adapter_sha256
    if not same or not (folder / "adapter.json").is_file():
        return None
    return {"base": read_json(folder / "base.json"), "adapter": read_json(folder / "adapter.json")}


def _refuse_unknown_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise ConfigError(
            explain(
                f'--dtype: "{dtype}" is no format for a merged model',
                where="the command line",
                why="weights are stored in one of these",
                fix=nearest(dtype, DTYPES),
            )
        )
