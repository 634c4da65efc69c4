"""check: a tokenised dataset and its tokenizer -> proof that training would learn what it should."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.check.findings import CheckResult
from lorascope.check.labels import (
    default_collator,
    labels_repeat_ids,
    padding_is_no_target,
    rows_end_with_stop,
    rows_have_targets,
)
from lorascope.check.prompts import held_out_is_new, prompt_is_no_target, prompt_is_prefix
from lorascope.errors import ConfigError, DataError, explain, nearest
from lorascope.lm.batches import pad_id_of
from lorascope.lm.load import load_tokenizer
from lorascope.lm.template import Template
from lorascope.lm.template_record import load_template
from lorascope.run.commit import committed_folder, write_json
from lorascope.run.dataset import Example, SplitNotes, content_hash, examples_of, load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import prepared_data
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import StageClock, StageInputs, record_stage
from lorascope.run.sections import CHECKS, Recipe
from lorascope.run.texts import ExampleText, read_texts


def check_run(run: RunFolder, recipe: Recipe, *, observer: Observer = SILENT) -> dict[str, Any]:
    """Check the dataset of a run and write check/report.json.

    Args:
        run: Prepared.
        recipe: Its `check.allow` names checks that may fail.
        observer: Told about progress.

    Returns:
        The report; report["passed"] is False when a check failed that is not allowed to.

    Raises:
        RunError: The run is not prepared, or its prepared files are damaged.
    """
    clock = StageClock()
    prepared_data(run)
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    template = load_template(run.template, tokenizer)
    splits, notes = load_all(run.dataset)
    texts = {text.example_id: text for text in read_texts(run.examples)}
    with observer.task("checking", sum(len(rows) for rows in splits.values()), "rows") as advance:
        report = examine(splits, notes, tokenizer, template, texts, recipe.check.allow, advance=advance)
    with committed_folder(run.stage("check"), replace=True) as folder:
        write_json(folder / "report.json", report)
    hashes = {"dataset": report["dataset_sha256"]}
    inputs = StageInputs(stage="check", settings={"allow": list(recipe.check.allow)}, hashes=hashes)
    record_stage(run, inputs, resolved=inputs.settings, clock=clock, facts={"passed": report["passed"]})
    return report


def check_dataset(
    folder: Path, base: str, *, allow: Sequence[str] = (), cut_length: int | None = None
) -> dict[str, Any]:
    """Check a tokenised dataset made elsewhere, padded or not.

    Args:
        folder: As written by `datasets`' save_to_disk.
        base: The base model, for its tokenizer.
        allow: Checks that may fail.
        cut_length: Length at which its maker cut rows; None takes the length of padded rows.
    """
    _refuse_unknown(allow)
    splits, notes = load_all(folder)
    tokenizer = load_tokenizer(base)
    padded = {note.stored_length for note in notes.values()}
    if cut_length is None and len(padded) == 1:
        cut_length = padded.pop()
    return examine(splits, notes, tokenizer, None, {}, allow, cut_length=cut_length)


def load_all(folder: Path) -> tuple[dict[str, list[Example]], dict[str, SplitNotes]]:
    """Read every split of a dataset folder."""
    splits, notes = {}, {}
    for name, split in load_splits(folder).items():
        splits[name], notes[name] = examples_of(split, f"{folder}, split {name}")
    if not any(splits.values()):
        raise DataError(
            explain(
                "the dataset has no rows",
                where=str(folder),
                why="there is nothing to check or train on",
                fix="prepare it again from a file with rows",
            )
        )
    return splits, notes


def examine(
    splits: Mapping[str, Sequence[Example]],
    notes: Mapping[str, SplitNotes],
    tokenizer: Any,
    template: Template | None,
    texts: Mapping[str, ExampleText],
    allow: Sequence[str],
    *,
    cut_length: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Make every check and lay out the report."""
    stop_ids = template.stop_ids if template else stop_ids_of(tokenizer)
    pad_id = pad_id_of(tokenizer)
    prefix, prompts = prompt_is_prefix(splits, texts, template, tokenizer.decode, advance)
    results: list[CheckResult] = [
        rows_have_targets(splits),
        rows_end_with_stop(
            splits,
            stop_ids,
            tokenizer.decode,
            cut_length=cut_length,
            cut_ids={one.example_id for one in texts.values() if one.cut == "response"},
        ),
        *padding_is_no_target(splits, notes, default_collator(pad_id), {pad_id, *stop_ids}),
        labels_repeat_ids(splits),
        prompt_is_no_target(splits, prompts),
        prefix,
        held_out_is_new(splits),
    ]
    failed = [one.name for one in results if one.passed is False]
    return {
        "schema": 1,
        "passed": not set(failed) - set(allow),
        "failed": failed,
        "allowed": [name for name in failed if name in allow],
        "first_line": first_line(results, notes),
        "splits": {name: len(rows) for name, rows in splits.items()},
        "trimmed_rows": sum(note.num_trimmed for note in notes.values()),
        "has_attention_mask": all(note.has_attention_mask for note in notes.values()),
        "stop_tokens": [tokenizer.convert_ids_to_tokens(i) for i in stop_ids],
        "checks": [one.as_dict() for one in results],
        "dataset_sha256": content_hash(splits.items()),
    }


def stop_ids_of(tokenizer: Any) -> tuple[int, ...]:
    """Tokens that may end an answer where no template is known: end-of-text and usual end-of-turn ones."""
    usual = (
        "<|im_end|>",
        "<|eot_id|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "</s>",
        "<|end_of_text|>",
    )
    vocabulary = tokenizer.get_vocab()
    own = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return tuple(dict.fromkeys([*own, *(vocabulary[token] for token in usual if token in vocabulary)]))


def first_line(results: Sequence[CheckResult], notes: Mapping[str, SplitNotes]) -> str:
    """The one sentence that matters most."""
    failed = [one for one in results if one.passed is False]
    if not failed:
        made = sum(one.passed is not None for one in results)
        return f"all {made} checks passed on {results[0].num_rows:,} rows"
    worst = max(failed, key=lambda one: one.num_failed)
    names = ", ".join(one["example_id"] for one in worst.worst[:3])
    return f'{worst.num_failed:,} of {worst.num_rows:,} rows fail "{worst.question}"; for example {names}'


def _refuse_unknown(allow: Sequence[str]) -> None:
    for name in allow:
        if name not in CHECKS:
            raise ConfigError(
                explain(
                    f'check.allow: there is no check "{name}"',
                    where="section check of the recipe",
                    why="allowing what does not exist allows nothing",
                    fix=nearest(name, CHECKS),
                )
            )
