"""eval: base and adapter on one split -> exact losses on the same rows in one process, and free answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.errors import ConfigError, explain, nearest
from lorascope.eval.answers import Matched, answer_freely, answer_measures
from lorascope.eval.measures import by_group, difference, split_measures
from lorascope.lm.base_results import BaseResults, score_base
from lorascope.lm.fingerprint import base_identity
from lorascope.lm.generate import Decoding
from lorascope.lm.pair import Pair, pair_of
from lorascope.lm.score import ExampleScores, score_examples
from lorascope.lm.template import Template
from lorascope.lm.template_record import load_template
from lorascope.run.commit import committed_folder, write_json
from lorascope.run.current import store_sections
from lorascope.run.dataset import IGNORE, Example, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import adapter_hash, prepared_data, trained_adapter, trained_base
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import (
    Overwrite,
    StageClock,
    StageInputs,
    is_up_to_date,
    record_stage,
)
from lorascope.run.records import read_json
from lorascope.run.sections import EvalSection, Recipe
from lorascope.run.texts import OVERLAP, SOURCE, ExampleText, read_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be evaluated.

    Attributes:
        examples: Of the split, in stored order.
        texts: What they say, by example id; empty for a tokenised dataset made elsewhere.
        template: Of the run; None where texts are not known.
        max_length: Longest example that was kept, None where unknown.
        section: Settings.
    """

    examples: Sequence[Example]
    texts: Mapping[str, ExampleText]
    template: Template | None
    max_length: int | None
    section: EvalSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What came out.

    Attributes:
        base: Measures of the base model, as in eval/base.json.
        adapter: Measures of the adapter with its difference from the base; None where there is no adapter.
        base_rows: One row per example.
        adapter_rows: One row per example.
    """

    base: dict[str, Any]
    adapter: dict[str, Any] | None
    base_rows: list[dict[str, Any]]
    adapter_rows: list[dict[str, Any]]


def eval_run(
    run: RunFolder,
    recipe: Recipe,
    *,
    adapter: str = "last",
    overwrite: Overwrite = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Evaluate a trained run and write eval/.

    Args:
        run: Trained.
        recipe: Its section eval decides.
        adapter: "last", "best" or a path.
        overwrite: Whether a finished evaluation may be made again.
        observer: Told about progress.

    Returns:
        {"base": ..., "adapter": ...}, as in eval/base.json and eval/adapter.json.

    Raises:
        RunError: The run is not trained, or evaluated with other inputs.
        ModelError: Base model and adapter do not fit.
        NoTargetTokens: Never: a split without target tokens has null losses with a reason.
    """
    clock = StageClock()
    prepared = prepared_data(run)
    folder = trained_adapter(run, adapter)
    settings = {"eval": recipe.eval.model_dump(mode="json"), "base": recipe.base.id}
    hashes = {"dataset": prepared["dataset_sha256"], "adapter": adapter_hash(folder)}
    hashes["base weights"] = base_identity(recipe.base.id, revision=recipe.base.revision)
    inputs = StageInputs(stage="eval", settings=settings, hashes=hashes)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("eval is up to date")
        stage = run.stage("eval")
        return {"base": read_json(stage / "base.json"), "adapter": read_json(stage / "adapter.json")}
    examples, _ = load_examples(run.dataset, recipe.eval.split)
    texts = {text.example_id: text for text in read_texts(run.examples)}
    _refuse_unknown_columns(recipe.eval.group_by, texts)
    pair = pair_of(recipe, folder, expected_base=trained_base(run))
    work = Work(
        examples=examples,
        texts=texts,
        template=load_template(run.template, pair.tokenizer),
        max_length=recipe.prepare.max_length if isinstance(recipe.prepare.max_length, int) else None,
        section=recipe.eval,
    )
    kept = BaseResults(folder=run.cache, observer=observer)
    evaluated = evaluate_pair(pair, work, kept=kept, observer=observer)
    with committed_folder(run.stage("eval"), replace=True) as staged:
        write_evaluated(staged, evaluated)
    store_sections(run, recipe, "eval")
    facts = {"precision": pair.precision.name, "base_sha256": pair.base_sha256, "reused": kept.reused}
    record_stage(run, inputs, resolved=settings, clock=clock, facts=facts)
    return {"base": evaluated.base, "adapter": evaluated.adapter}


def evaluate_pair(
    pair: Pair, work: Work, *, kept: BaseResults | None = None, observer: Observer = SILENT
) -> Evaluated:
    """Score base and adapter on the same examples, and let both answer freely where asked.

    Args:
        pair: Base model, with or without an adapter.
        work: What to evaluate.
        kept: Where results of the base lie; None computes them.
        observer: Told about progress.
    """
    kept = kept or BaseResults()
    models = ["base", "adapter"] if pair.has_adapter else ["base"]
    scores: dict[str, ExampleScores] = {}
    matched: dict[str, list[Matched]] = {}
    for name in models:
        size = work.section.batch_size
        with observer.task(f"scoring {name}", len(work.examples), "examples") as advance:
            scores[name] = (
                score_base(kept, pair, work.examples, batch_size=size, advance=advance)
                if name == "base"
                else score_examples(
                    pair.model, work.examples, pad_id=pair.pad_id, batch_size=size, advance=advance
                )
            )
        matched[name] = _answers(kept, pair, work, name, observer)
    measures = {name: _measures(pair, work, name, scores[name], matched[name]) for name in models}
    if pair.has_adapter:
        measures["adapter"]["difference_from_base"] = difference(scores["base"], scores["adapter"])
    rows = {name: _rows(work, scores[name], matched[name]) for name in models}
    return Evaluated(
        base=measures["base"],
        adapter=measures.get("adapter"),
        base_rows=rows["base"],
        adapter_rows=rows.get("adapter", []),
    )


def _answers(kept: BaseResults, pair: Pair, work: Work, name: str, observer: Observer) -> list[Matched]:
    section = work.section
    if not section.generate or work.template is None:
        return []
    texts = (work.texts.get(example.example_id) for example in work.examples)
    known = [text for text in texts if text is not None and text.has_prompt][: section.generate]
    with observer.task(f"answers of {name}", len(known), "prompts") as advance:
        return answer_freely(
            pair,
            work.template,
            known,
            Decoding(max_new_tokens=section.max_new_tokens),
            kept=kept if name == "base" else None,
            batch_size=max(section.batch_size, 16),
            advance=advance,
        )


def _measures(
    pair: Pair, work: Work, name: str, scores: ExampleScores, matched: Sequence[Matched]
) -> dict[str, Any]:
    section = work.section
    target_bytes, origin = _target_bytes(work, pair.tokenizer)
    groups_by_column = {
        column: {e.example_id: work.texts[e.example_id].group(column) for e in work.examples}
        for column in (*section.group_by, *_telling_columns(work))
    }
    return {
        "schema": 1,
        "model": name,
        **split_measures(scores, target_bytes, section.batch_size),
        "split": section.split,
        "batch_size": section.batch_size,
        "max_length": work.max_length,
        "precision": pair.precision.name,
        "bytes_from": origin,
        "adapter": str(pair.adapter) if name == "adapter" else None,
        "by_group": {
            column: by_group(scores, [group_of[e.example_id] for e in work.examples])
            for column, group_of in groups_by_column.items()
        },
        "answers": answer_measures(matched, Decoding(max_new_tokens=section.max_new_tokens), groups_by_column)
        if matched
        else None,
        "answers_why": None if matched else "eval.generate is 0, or the texts of this dataset are not known",
    }


def _telling_columns(work: Work) -> list[str]:
    """Where examples come from and what training has seen of them, where that differs between them."""
    texts = [work.texts[e.example_id] for e in work.examples if e.example_id in work.texts]
    return [column for column in (SOURCE, OVERLAP) if len({text.group(column) for text in texts}) > 1]


def _target_bytes(work: Work, tokenizer: Any) -> tuple[np.ndarray, str]:
    """Bytes of what each example asks the model to say, and how they were counted."""
    if work.texts:
        return np.array([work.texts[e.example_id].target_bytes for e in work.examples]), "the source text"
    decoded = (
        tokenizer.decode(e.labels[e.labels != IGNORE].tolist(), skip_special_tokens=True)
        for e in work.examples
    )
    return np.array(
        [len(text.encode("utf-8", errors="replace")) for text in decoded]
    ), "decoded target tokens"


def _rows(work: Work, scores: ExampleScores, matched: Sequence[Matched]) -> list[dict[str, Any]]:
    answers = {one.example_id: one for one in matched}
    rows = []
    for index, example in enumerate(work.examples):
        answer = answers.get(example.example_id)
        rows.append(
            {
                "example_id": example.example_id,
                "nll_sum": float(scores.nll_sum_N[index]),
                "num_tokens": int(scores.num_tokens_N[index]),
                "num_correct": int(scores.num_correct_N[index]),
                "answer": answer.answer.text if answer else None,
                "stopped": answer.answer.stopped if answer else None,
                "exact_match": answer.exact if answer else None,
                "token_f1": answer.f1 if answer else None,
            }
        )
    return rows


def write_evaluated(folder: Path, evaluated: Evaluated) -> None:
    """Write base.json, adapter.json and the rows of each as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("example_id", pa.string()),
            ("nll_sum", pa.float64()),
            ("num_tokens", pa.int64()),
            ("num_correct", pa.int64()),
            ("answer", pa.string()),
            ("stopped", pa.bool_()),
            ("exact_match", pa.bool_()),
            ("token_f1", pa.float64()),
        ]
    )
    for name, measures, rows in (
        ("base", evaluated.base, evaluated.base_rows),
        ("adapter", evaluated.adapter, evaluated.adapter_rows),
    ):
        if measures is not None:
            write_json(folder / f"{name}.json", measures)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")


def _refuse_unknown_columns(group_by: Sequence[str], texts: Mapping[str, ExampleText]) -> None:
    names = {name for text in texts.values() for name in text.labels}
    for column in group_by:
        if column not in names:
            raise ConfigError(
                explain(
                    f'eval.group_by: the data has no column "{column}"',
                    where="section eval of the recipe",
                    why="metrics can only be broken down by a column that came with the rows",
                    fix=nearest(column, names),
                )
            )
