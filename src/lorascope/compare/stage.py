"""compare: base and adapter on the same prompts and target tokens -> divergences, answers, and a verdict."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.compare.answers import answer_all, answer_facts, refuse_too_long
from lorascope.compare.divergences import (
    LOGIT_BYTES,
    Positions,
    Side,
    base_again,
    compare_positions,
    last_prompt_position,
    positions_within,
    side_of,
)
from lorascope.compare.measures import by_example, by_place, spread, verdict
from lorascope.compare.passages import passages_hash, read_passages
from lorascope.compare.presence import adapter_presence
from lorascope.compare.prompts import Prompt, encode_asked, prompt_of, read_prompts, seeded_order
from lorascope.compare.record import Compared, prompt_facts, template_facts, write_compared
from lorascope.compare.unrelated import measure_unrelated
from lorascope.errors import DataError, explain
from lorascope.lm.base_results import BaseResults
from lorascope.lm.fingerprint import base_identity
from lorascope.lm.generate import Decoding
from lorascope.lm.load import context_length
from lorascope.lm.pair import Pair, pair_of
from lorascope.lm.target_logits import lay_out
from lorascope.lm.template import Template
from lorascope.lm.template_record import load_template
from lorascope.run.commit import committed_folder, sha256_of
from lorascope.run.current import store_sections
from lorascope.run.dataset import Example, load_examples
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
from lorascope.run.sections import CompareSection, Recipe
from lorascope.run.texts import ExampleText, read_texts

_FLOOR_EXAMPLES = 20  # rounding is the same everywhere: 20 examples show it as well as 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What base and adapter are compared on.

    Attributes:
        examples: Of the split, in stored order; empty where only a prompts file is given.
        texts: What they say, by example id; empty for a tokenised dataset made elsewhere.
        template: Of the training data.
        template_from: Where it comes from, for people.
        prompts_file: Further prompts, None for none.
        section: Settings.
        seed: Of the choice of examples and of sampling.
    """

    examples: Sequence[Example]
    texts: Mapping[str, ExampleText]
    template: Template
    template_from: str
    prompts_file: Path | None
    section: CompareSection
    seed: int


def compare_run(
    run: RunFolder,
    recipe: Recipe,
    *,
    adapter: str = "last",
    prompts: Path | None = None,
    overwrite: Overwrite = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Compare a run's adapter with its base and write compare/.

    Args:
        run: Trained.
        recipe: Its section compare decides, and eval.precision.
        adapter: "last", "best" or a path.
        prompts: A file with further prompts.
        overwrite: Whether a finished comparison may be made again.
        observer: Told about progress.

    Returns:
        The report, as in compare/report.json, with the answers under "generations".

    Raises:
        RunError: The run is not trained, or compared with other inputs.
        ModelError: Base model, adapter and template do not fit together.
        DataError: The prompts file or the unrelated text cannot be used, or there is no such split.
    """
    clock = StageClock()
    prepared_data(run)
    folder = trained_adapter(run, adapter)
    if prompts is not None:
        read_prompts(prompts)  # a wrong line is told before a model is loaded
    inputs = _inputs(run, recipe, folder, prompts)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("compare is up to date")
        stage = run.stage("compare")
        # Not str.splitlines, which also cuts at the U+2028 of an answer.
        with (stage / "generations.jsonl").open(encoding="utf-8") as lines:
            return {**read_json(stage / "report.json"), "generations": [json.loads(line) for line in lines]}
    examples, _ = load_examples(run.dataset, recipe.compare.split)
    pair = pair_of(recipe, folder, expected_base=trained_base(run))
    work = Work(
        examples=examples,
        texts={text.example_id: text for text in read_texts(run.examples)},
        template=load_template(run.template, pair.tokenizer),
        template_from="the run's, as it was trained on",
        prompts_file=prompts,
        section=recipe.compare,
        seed=recipe.seed,
    )
    kept = BaseResults(folder=run.cache, observer=observer)
    compared = compare_pair(pair, work, base=recipe.base.id, name=run.name, kept=kept, observer=observer)
    with committed_folder(run.stage("compare"), replace=True) as staged:
        write_compared(staged, compared)
    store_sections(run, recipe, "compare")
    facts = {"precision": pair.precision.name, "base_sha256": pair.base_sha256, "reused": kept.reused}
    record_stage(run, inputs, resolved=inputs.settings, clock=clock, facts=facts)
    return {**compared.report, "generations": compared.generations}


def _inputs(run: RunFolder, recipe: Recipe, adapter: Path, prompts: Path | None) -> StageInputs:
    return StageInputs(
        stage="compare",
        settings={
            "compare": recipe.compare.model_dump(mode="json"),
            "eval": {"precision": recipe.eval.precision},
            "base": recipe.base.id,
            "seed": recipe.seed,
        },
        hashes={
            "dataset": read_json(run.prepare_report)["dataset_sha256"],
            "adapter": adapter_hash(adapter),
            "base weights": base_identity(recipe.base.id, revision=recipe.base.revision),
            "prompts file": sha256_of(prompts) if prompts is not None else "none",
            "unrelated text": passages_hash(recipe.compare.unrelated),
        },
    )


def compare_pair(
    pair: Pair,
    work: Work,
    *,
    base: str,
    name: str | None = None,
    kept: BaseResults | None = None,
    observer: Observer = SILENT,
) -> Compared:
    """Compare base and adapter: presence, divergences, unrelated text, answers.

    Args:
        pair: Just loaded: `adapter_presence` counts its trainable parameters.
        work: What to compare on.
        base: Name of the base model, for the report.
        name: Of the run, None without one.
        kept: Where answers of the base lie; None computes them.
        observer: Told about progress.
    """
    presence = adapter_presence(pair)
    order = seeded_order(work.examples, work.seed)
    scored = [work.examples[index] for index in order[: work.section.examples]]
    prompts = _prompts(pair, work, order)
    if not scored and not prompts:
        raise _nothing_to_compare(work)
    refuse_too_long(prompts, context_length(pair.model.config))
    targets, last, floor = _divergences(pair, scored, prompts, observer)
    unrelated, why = measure_unrelated(pair, read_passages(work.section.unrelated), observer)
    rows = by_example(targets, [example.example_id for example in scored])
    generations = _answers(pair, work, prompts, kept, observer)
    measured = {
        "targets": {**spread(targets, len(scored)), "by_place": by_place(targets, len(scored))},
        "last_prompt_position": spread(last, len(prompts)),
        "base_against_itself": spread(floor, len(scored) or len(prompts)),
    }
    found = verdict(
        presence,
        [measured["targets"], measured["last_prompt_position"]],
        measured["base_against_itself"],
        pair.precision.name,
    )
    report = {
        "schema": 1,
        "run": name,
        "base": base,
        "base_sha256": pair.base_sha256,
        "adapter": str(pair.adapter),
        "precision": pair.precision.name,
        "template": template_facts(work.template, work.template_from),
        "split": work.section.split if work.examples else None,
        "seed": work.seed,
        "verdict": found,
        "presence": presence,
        "divergences": measured,
        "unrelated": unrelated,
        "unrelated_why": why,
        "prompts": prompt_facts(pair.tokenizer, prompts, last, rows),
        "answers": answer_facts(generations),
    }
    return Compared(report=report, generations=generations, rows=rows)


def _prompts(pair: Pair, work: Work, order: Sequence[int]) -> list[Prompt]:
    """Prompts of the file first, because somebody chose them, then those of the split."""
    prompts = []
    if work.prompts_file is not None:
        asked = read_prompts(work.prompts_file)
        prompts += encode_asked(asked, work.template, work.prompts_file)
    for index in order[: work.section.prompts]:
        example = work.examples[index]
        text = work.texts.get(example.example_id)
        prompts.append(
            prompt_of(example, text, work.template, split=work.section.split, tokenizer=pair.tokenizer)
        )
    return prompts


def _divergences(
    pair: Pair, scored: Sequence[Example], prompts: Sequence[Prompt], observer: Observer
) -> tuple[Positions, Positions, Positions]:
    """At target tokens, at the last position of each prompt, and of the base against itself."""
    base, adapter = side_of(pair, "base"), side_of(pair, "adapter")
    most = positions_within(LOGIT_BYTES, int(pair.model.config.get_text_config().vocab_size))
    ends = [last_prompt_position(one.input_ids, one.prompt_id, pair.pad_id) for one in prompts]
    few = (scored or ends)[:_FLOOR_EXAMPLES]
    total = len(scored) + len(ends) + len(few)
    with observer.task("measuring divergences", total, "examples") as advance:

        def measured(a: Side, b: Side, examples: Sequence[Example]) -> Positions:
            passes = lay_out(pair.model, examples, pad_id=pair.pad_id, most=most)
            return compare_positions(a, b, passes, most=most, advance=advance)

        return (
            measured(base, adapter, scored),
            measured(base, adapter, ends),
            measured(base, base_again(pair), few),
        )


def _answers(
    pair: Pair, work: Work, prompts: Sequence[Prompt], kept: BaseResults | None, observer: Observer
) -> list[dict[str, Any]]:
    decodings = _decodings(work)
    with observer.task("answering", 2 * len(decodings) * len(prompts), "answers") as advance:
        return answer_all(
            pair,
            prompts,
            decodings,
            stop_ids=work.template.stop_ids,
            context=context_length(pair.model.config),
            kept=kept,
            advance=advance,
        )


def _decodings(work: Work) -> list[Decoding]:
    section = work.section
    return [
        Decoding(max_new_tokens=section.max_new_tokens),
        Decoding(
            max_new_tokens=section.max_new_tokens,
            temperature=section.temperature,
            top_p=section.top_p,
            seed=work.seed,
        ),
    ]


def _nothing_to_compare(work: Work) -> DataError:
    return DataError(
        explain(
            "there is nothing to compare on",
            where=f"split {work.section.split}" if work.examples else "command line",
            why="no example with target tokens and no prompt was given",
            fix="give --prompts FILE or --data DATA",
        )
    )
