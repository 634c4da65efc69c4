"""prepare: a data file and a tokenizer -> a tokenised dataset without leaks, and an account of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.errors import DataError, RunError, explain, nearest
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.lm.load import base_context_length, load_tokenizer
from lorascope.lm.template import Template, resolve_template
from lorascope.prepare.gather import Gathered, gather, refuse_too_many_bad
from lorascope.prepare.overlap import duplicate_counts, overlap_with_train
from lorascope.prepare.read import BadRow
from lorascope.prepare.rows import Conversation
from lorascope.prepare.split import answer_key, prompt_key, split_by_prompt, wanted_validation
from lorascope.prepare.tokenise import Tokenised, length_summary, resolve_max_length, tokenise
from lorascope.prepare.write import write_dataset, write_dropped, write_texts
from lorascope.run.commit import (
    MANIFEST,
    committed_folder,
    disk_errors,
    is_leftover,
    make_folder,
    remove_leftovers,
    sha256_of,
    write_json,
)
from lorascope.run.dataset import IGNORE, Example, content_hash
from lorascope.run.folder import RunFolder
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import StageClock, StageInputs, is_up_to_date, record_stage
from lorascope.run.recipe import recipe_values
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe
from lorascope.run.splits import SPLITS, refuse_unknown_splits

_ROWS_TO_CHOOSE = 200  # conversations that decide in which thinking mode a chat template is used


@dataclass(frozen=True, slots=True)
class _Source:
    """The files to read: the data, and a validation file of the user's own where one is named."""

    data: Path
    validation: Path | None


def prepare_run(
    run: RunFolder, recipe: Recipe, *, overwrite: bool = False, observer: Observer = SILENT
) -> dict[str, Any]:
    """Prepare a run's data.

    Args:
        run: Where to; it need not exist.
        recipe: Names the data, the base model and how to prepare.
        overwrite: Whether a finished prepare may be made again.
        observer: Told about progress.

    Returns:
        The report, as in prepare/report.json.

    Raises:
        DataError: The data cannot be used.
        ConfigError: The recipe evaluates or compares on a split that there will not be.
        ModelError: The base model's tokenizer cannot be loaded.
        RunError: The folder is taken by something else, or prepare is finished with other inputs.
    """
    clock = StageClock()
    refuse_unknown_splits(recipe)
    _refuse_foreign_folder(run)
    recipe = recipe.model_copy(
        update={"base": recipe.base.model_copy(update={"id": _lasting(recipe.base.id)})}
    )
    source = _source(recipe)
    gathered = gather(source.data, observer)
    own = source.validation
    # Two files of one name must not give two examples one id.
    own_name = f"validation/{own.name}" if own and own.name == source.data.name else None
    held_out = gather(own, observer, name=own_name) if own else None
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    inputs = _inputs(recipe, source, tokenizer)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("prepare is up to date")
        return read_json(run.prepare_report)

    template = Template(resolve_template(recipe.prepare.template, tokenizer), tokenizer)
    sample = gathered.conversations[:_ROWS_TO_CHOOSE]
    template = template.for_conversations([(one.messages, one.tools) for one in sample])
    tokenised, bad = _tokenise(gathered, template, recipe, source.data, observer)
    mine, mine_bad = (
        _tokenise(held_out, template, recipe, source.validation, observer) if held_out else ([], [])
    )
    context = base_context_length(recipe.base.id, revision=recipe.base.revision)
    max_length = resolve_max_length(
        recipe.prepare.max_length, [one.num_tokens for one in [*tokenised, *mine]], context
    )
    kept, over = _by_length(tokenised, max_length)
    mine_kept, mine_over = _by_length(mine, max_length)
    if not kept:
        raise _all_too_long(tokenised, max_length, source.data)
    if own and not mine_kept:
        raise _all_too_long(mine, max_length, own)
    splits = _splits(kept, mine_kept if held_out else None, recipe)
    report = _report(gathered, held_out, splits, [*bad, *mine_bad], [*over, *mine_over], template, max_length)
    if "validation" not in splits:
        observer.note("no validation split: nothing was held out, so nothing can be measured on new examples")
    dropped = [(gathered.file, one) for one in bad] + [(held_out.file, one) for one in mine_bad if held_out]
    dropped += _over_length_rows([*over, *mine_over], max_length)
    make_folder(run.path)
    remove_leftovers(run.path)
    with committed_folder(run.stage("prepare"), replace=True) as folder:
        write_dataset(folder / "dataset", splits)
        write_texts(folder / "examples.parquet", splits)
        write_dropped(folder / "dropped.jsonl", dropped)
        write_json(folder / "template.json", template.as_record())
        write_json(folder / "report.json", report)
    resolved = _resolved(recipe, source, template.name, max_length)
    write_json(run.config, recipe_values(resolved))
    facts = {"dataset_sha256": report["dataset_sha256"], "template_sha256": template.sha256}
    record_stage(run, inputs, resolved=_settings(resolved), clock=clock, facts=facts)
    return report


def _resolved(recipe: Recipe, source: _Source, template: str, max_length: int) -> Recipe:
    """The recipe with what "auto" came to, and with paths that hold from any working directory."""
    settled: dict[str, Any] = {"template": template, "max_length": max_length}
    if source.validation:
        settled["validation"] = str(source.validation.resolve())
    return recipe.model_copy(
        update={
            "data": str(source.data.resolve()),
            "prepare": recipe.prepare.model_copy(update=settled),
        }
    )


def _lasting(base: str) -> str:
    """The base's name for use from any working directory: a folder's whole path, a Hub id as it is."""
    folder = Path(base)
    return str(folder.resolve()) if folder.is_dir() else base


def _is_ours(path: Path) -> bool:
    """What a killed prepare leaves: its staging, or prepare/ without the run's config.json."""
    return is_leftover(path) or (path.name == "prepare" and (path / MANIFEST).is_file())


def _refuse_foreign_folder(run: RunFolder) -> None:
    with disk_errors(run.path):
        if not run.path.exists() or run.config.is_file():
            return
    if not run.path.is_dir() or not all(_is_ours(path) for path in run.path.iterdir()):
        raise RunError(
            explain(
                f'"{run.path}" is taken by something that is no run',
                where=str(run.path),
                why="a run gets a folder of its own, and files that are not ours are never touched",
                fix="choose another --out",
            )
        )


def _source(recipe: Recipe) -> _Source:
    asked = recipe.prepare.validation
    own = Path(asked) if isinstance(asked, str) and asked != "auto" else None
    if own and not own.exists():
        names = [entry.name for entry in own.parent.iterdir()] if own.parent.is_dir() else []
        raise DataError(
            explain(
                f'prepare.validation: "{own}" is neither a number nor a file',
                where=str(own),
                why="held-out examples are a number, a share below 1, or a file of your own",
                fix=nearest(own.name, names),
            )
        )
    return _Source(Path(recipe.data), own)


def _settings(recipe: Recipe) -> dict[str, Any]:
    values = recipe_values(recipe)
    return {"base": recipe.base.id, "seed": recipe.seed, "prepare": values["prepare"]}


def _inputs(recipe: Recipe, source: _Source, tokenizer: Any) -> StageInputs:
    hashes = {"data": sha256_of(source.data), "tokenizer": tokenizer_fingerprint(tokenizer)}
    if source.validation:
        hashes["validation"] = sha256_of(source.validation)
    return StageInputs(stage="prepare", settings=_settings(recipe), hashes=hashes)


def _tokenise(
    gathered: Gathered, template: Template, recipe: Recipe, path: Path | None, observer: Observer
) -> tuple[list[Tokenised], list[BadRow]]:
    with observer.task("tokenising", len(gathered.conversations), "rows") as advance:
        done = tokenise(gathered.conversations, template, advance)
    bad = [*gathered.bad, *(one for one in done if isinstance(one, BadRow))]
    bad.sort(key=lambda one: one.row)
    refuse_too_many_bad(gathered, bad, recipe.prepare.max_dropped, path or Path(recipe.data))
    return [one for one in done if isinstance(one, Tokenised)], bad


def _by_length(tokenised: Sequence[Tokenised], max_length: int) -> tuple[list[Tokenised], list[Tokenised]]:
    kept = [one for one in tokenised if one.num_tokens <= max_length]
    return kept, [one for one in tokenised if one.num_tokens > max_length]


def _all_too_long(tokenised: Sequence[Tokenised], max_length: int, path: Path) -> DataError:
    shortest = min(tokenised, key=lambda one: one.num_tokens)
    return DataError(
        explain(
            f"all {len(tokenised):,} examples are longer than {max_length} tokens",
            where=f"{path}; shortest: {shortest.example_id}, {shortest.num_tokens} tokens",
            why="an example that does not fit is left out whole, and none is left",
            fix="raise prepare.max_length, or use a base model with a longer context",
        )
    )


def _over_length_rows(over: Sequence[Tokenised], max_length: int) -> list[tuple[str, BadRow]]:
    return [
        (
            one.conversation.file,
            BadRow(
                one.conversation.line,
                "over_length",
                f"{one.num_tokens} tokens, {max_length} fit",
                one.conversation.row,
            ),
        )
        for one in over
    ]


def _splits(
    kept: Sequence[Tokenised], own_validation: Sequence[Tokenised] | None, recipe: Recipe
) -> dict[str, list[Tokenised]]:
    sizes: dict[str, int] = {}
    if own_validation is None:
        asked = recipe.prepare.validation
        sizes["validation"] = wanted_validation(asked, len(kept))
    sizes["test"] = recipe.prepare.test
    if sum(sizes.values()) >= len(kept):
        raise DataError(
            explain(
                f"{sum(sizes.values()):,} held-out examples leave none of {len(kept):,} to train on",
                where="prepare.validation and prepare.test",
                why="held-out examples are taken from the same data",
                fix="hold out fewer, or give a validation file of your own",
            )
        )
    assigned = split_by_prompt([prompt_key(one.messages) for one in kept], sizes, seed=recipe.seed)
    splits: dict[str, list[Tokenised]] = {"train": []}
    for one, split in zip(kept, assigned, strict=True):
        splits.setdefault(split, []).append(one)
    if own_validation is not None:
        splits["validation"] = list(own_validation)
    return {name: splits[name] for name in SPLITS if splits.get(name)}


def _report(
    gathered: Gathered,
    held_out: Gathered | None,
    splits: Mapping[str, Sequence[Tokenised]],
    bad: Sequence[BadRow],
    over: Sequence[Tokenised],
    template: Template,
    max_length: int,
) -> dict[str, Any]:
    where = [(split, one) for split, examples in splits.items() for one in examples]
    names = [split for split, _ in where]
    conversations: list[Conversation] = [one.conversation for _, one in where]
    prompts = [prompt_key(one.messages) for _, one in where]
    answers = [answer_key(one.messages) for _, one in where]
    ids = [one.example_id for _, one in where]
    lengths = [one.num_tokens for _, one in where]
    return {
        "schema": 1,
        "file": gathered.file,
        "shape": gathered.shape,
        "rows_read": gathered.num_rows + (held_out.num_rows if held_out else 0),
        "held_out_file": None
        if held_out is None
        else {"file": held_out.file, "rows_read": held_out.num_rows},
        "unused_columns": sorted({*gathered.unused, *(held_out.unused if held_out else ())}),
        "kept": len(where),
        "cut_after_last_answer": sum(one.num_unanswered > 0 for one in conversations),
        "dropped": {"malformed": len(bad), "over_length": len(over)},
        "dropped_by_reason": dict(Counter(one.reason for one in bad).most_common()),
        "splits": {split: _split_facts(examples) for split, examples in splits.items()},
        "duplicates": duplicate_counts(prompts, answers),
        "overlap": {
            split: overlap_with_train(names, prompts, answers, ids, split)
            for split in splits
            if split != "train"
        },
        "lengths": length_summary(lengths),
        "template": template.name,
        "stop_tokens": [template.tokenizer.convert_ids_to_tokens(i) for i in template.stop_ids],
        "max_length": max_length,
        "dataset_sha256": content_hash(
            (split, [_example(one) for one in examples]) for split, examples in splits.items()
        ),
    }


def _split_facts(examples: Sequence[Tokenised]) -> dict[str, int]:
    targets = sum(label != IGNORE for one in examples for label in one.encoded.labels)
    tokens = sum(one.num_tokens for one in examples)
    return {"examples": len(examples), "tokens": tokens, "target_tokens": targets}


def _example(one: Tokenised) -> Example:
    return Example(
        example_id=one.example_id,
        input_ids=np.asarray(one.encoded.input_ids, dtype=np.int64),
        labels=np.asarray(one.encoded.labels, dtype=np.int64),
    )
