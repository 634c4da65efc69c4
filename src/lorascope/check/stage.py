"""check: a tokenised dataset and its tokenizer -> proof that training would learn what it should."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.check.elsewhere import (
    Spans,
    everything_is_learnt,
    is_plain,
    nothing_but_stop,
    texts_of_tokens,
)
from lorascope.check.findings import MOST_ROWS, CheckResult
from lorascope.check.fit import fit_notices
from lorascope.check.labels import (
    default_collator,
    labels_repeat_ids,
    padding_is_no_target,
    rows_end_with_stop,
    rows_have_targets,
)
from lorascope.check.prompts import held_out_is_new, nearly_held_out, prompt_is_no_target, prompt_is_prefix
from lorascope.check.quality import quality_notices
from lorascope.check.tokens import bos_once, ids_are_known, known_ids_decoder, other_template, packed_rows
from lorascope.check.wording import wording_notices
from lorascope.errors import ConfigError, DataError, explain, nearest
from lorascope.lm.batches import pad_id_of
from lorascope.lm.load import load_tokenizer
from lorascope.lm.template import Template
from lorascope.lm.template_record import load_template
from lorascope.lm.vocabulary import Vocabulary, read_vocabulary
from lorascope.run.commit import committed_folder, write_json
from lorascope.run.dataset import Example, SplitNotes, content_hash, examples_of, load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import prepared_data
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import StageClock, StageInputs, record_stage
from lorascope.run.sections import CHECKS, Recipe
from lorascope.run.texts import ExampleText, read_texts

_WORTH_A_LOOK = 0.005  # of all rows; what concerns fewer is listed and not shouted


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
    prepared = prepared_data(run)
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    template = load_template(run.template, tokenizer)
    vocabulary = read_vocabulary(recipe.base.id, revision=recipe.base.revision)
    splits, notes = load_all(run.dataset)
    texts = {text.example_id: text for text in read_texts(run.examples)}
    with observer.task("checking", sum(len(rows) for rows in splits.values()), "rows") as advance:
        report = examine(
            splits,
            notes,
            tokenizer,
            template,
            texts,
            recipe.check.allow,
            num_ids=vocabulary.num_rows,
            advance=advance,
        )
    _look(report, splits, tokenizer, template, texts, vocabulary, prepared)
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
    vocabulary = read_vocabulary(base)
    spans = Spans(splits, tokenizer, stop_ids_of(tokenizer))
    said = texts_of_tokens(splits, tokenizer)
    report = examine(
        splits,
        notes,
        tokenizer,
        None,
        said,
        allow,
        cut_length=cut_length,
        num_ids=vocabulary.num_rows,
        spans=spans,
    )
    _look(report, splits, tokenizer, None, said, vocabulary, None, spans=spans)
    return report


def check_rows(rows: Sequence[Mapping[str, Sequence[int]]], tokenizer: Any) -> dict[str, Any]:
    """Check tokenised rows as a trainer has collated them.

    Where nothing is masked in any row, and the chat template shows no answers, the training is taken to be on
    plain text: a notice says what that means, and no check fails for it.

    Args:
        rows: Each with input_ids and labels, and attention_mask where the batch had one.
        tokenizer: That made them.

    Returns:
        The report, as of `check_dataset`; that is its only notice.

    Raises:
        DataError: There is no row, or input_ids and labels are not of one length.
    """
    from datasets import Dataset

    examples, notes = examples_of(
        Dataset.from_list([dict(row) for row in rows]), "the trainer's first batches"
    )
    splits = {"train": examples}
    spans = Spans(splits, tokenizer, stop_ids_of(tokenizer))
    said = texts_of_tokens(splits, tokenizer)
    report = examine(splits, {"train": notes}, tokenizer, None, said, (), spans=spans, may_be_plain=True)
    report["notices"] = [everything_is_learnt(splits).as_dict()] if is_plain(splits, spans) else []
    return report


def _look(
    report: dict[str, Any],
    splits: Mapping[str, Sequence[Example]],
    tokenizer: Any,
    template: Template | None,
    texts: Mapping[str, ExampleText],
    vocabulary: Vocabulary,
    prepared: Mapping[str, Any] | None,
    *,
    spans: Spans | None = None,
) -> None:
    """Add what stops nobody and is worth a look, the gravest first."""
    stop_ids = template.stop_ids if template else stop_ids_of(tokenizer)
    found, figures = fit_notices(splits, {} if spans else texts, tokenizer, vocabulary, stop_ids)
    found += quality_notices(texts, prepared)
    found += [*nearly_held_out(texts), *(spans.notices() if spans else ())]
    found += [] if spans else wording_notices(texts, tokenizer)
    maybe = [other_template(splits, tokenizer, template), nothing_but_stop(splits, stop_ids)]
    maybe += [packed_rows(splits, tokenizer.eos_token_id)] if spans else []
    found += [one for one in maybe if one is not None]
    found.sort(key=lambda one: (one.severity != "warn", -one.num_rows))
    report["notices"] = [one.as_dict() for one in found]
    report["tokenizer_fit"] = figures
    least = _WORTH_A_LOOK * sum(len(rows) for rows in splits.values())
    warned = [one for one in found if one.severity == "warn" and (not one.num_rows or one.num_rows >= least)]
    if not report["failed"] and warned:
        report["first_line"] += f"; worth a look: {warned[0].sentence}"


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
    num_ids: int | None = None,
    spans: Spans | None = None,
    may_be_plain: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Make every check and lay out the report."""
    stop_ids = template.stop_ids if template else stop_ids_of(tokenizer)
    pad_id = pad_id_of(tokenizer)
    decode = known_ids_decoder(tokenizer)
    prefix, prompts = prompt_is_prefix(splits, texts, template, decode, advance)
    results: list[CheckResult] = [
        rows_have_targets(splits),
        rows_end_with_stop(
            splits,
            stop_ids,
            decode,
            cut_length=cut_length,
            cut_ids={one.example_id for one in texts.values() if one.cut == "response"},
        ),
        *padding_is_no_target(splits, notes, default_collator(pad_id), {pad_id, *stop_ids}),
        labels_repeat_ids(splits),
        prompt_is_no_target(splits, prompts, spans, may_be_plain=may_be_plain),
        prefix,
        bos_once(splits, tokenizer.bos_token_id),
        ids_are_known(splits, num_ids),
        held_out_is_new(splits, texts),
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
        "failed_rows": _failed_rows(results),
        "dataset_sha256": content_hash(splits.items()),
    }


def _failed_rows(results: Sequence[CheckResult]) -> dict[str, str]:
    """Example id to what is wrong with it, up to 500: what a page shows first."""
    found: dict[str, str] = {}
    for one in results:
        for row in one.failures:
            if len(found) < MOST_ROWS:
                found.setdefault(row["example_id"], row["what"])
    return found


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
    several = "here are three" if worst.num_failed > 2 else "here"
    fault = worst.fault or _FAULTS[worst.name]
    return f"{worst.num_failed:,} of {worst.num_rows:,} rows {fault}; {several}: {names}"


_FAULTS = {
    "targets": "train nothing at all",
    "stop_token": "never train the stop token",
    "padding": "train on padding",
    "attention_mask": "have an attention mask that does not fit them",
    "labels": "have labels that are not their own token",
    "prompt_masked": "train on their prompt",
    "prompt_prefix": "begin otherwise than generation will",
    "bos": "begin twice",
    "vocabulary": "hold tokens that the base does not have",
    "overlap": "that are held out stand in training",
}
"""What is wrong with rows that fail a check, as the end of a sentence."""


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
