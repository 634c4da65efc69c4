"""prepare: data file + base model -> token ids with labels in splits, what was dropped, and what repeats.

Two passes: rows are read, worded and tokenised into a staged file; then, when every length and every prompt
is known, the length limit and the splits are decided, and each example is written where it belongs.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from lorascope.errors import DataError, RunError, explain
from lorascope.lm.load import base_context_length, load_tokenizer
from lorascope.lm.template import Template, open_template
from lorascope.prepare.account import Account, refuse_too_many_bad
from lorascope.prepare.facts import Facts, joined
from lorascope.prepare.inputs import lasting, open_all, prepare_inputs, prepare_settings
from lorascope.prepare.lengths import resolve_max_length
from lorascope.prepare.origin import Origin
from lorascope.prepare.overlap import overlap_of
from lorascope.prepare.parallel import work_through
from lorascope.prepare.read import BadRow
from lorascope.prepare.repeats import find_repeats, prompt_groups
from lorascope.prepare.scores import score_data
from lorascope.prepare.settled import OVER_LENGTH, Settled, settle
from lorascope.prepare.staged import StagedFile
from lorascope.prepare.summary import report_of
from lorascope.prepare.truncation import truncate
from lorascope.prepare.write import write_dropped, write_examples
from lorascope.run.commit import (
    MANIFEST,
    committed_folder,
    disk_errors,
    is_leftover,
    make_folder,
    remove_leftovers,
    write_json,
)
from lorascope.run.data_sections import TEMPLATES
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import Overwrite, StageClock, is_up_to_date, record_stage
from lorascope.run.recipe import recipe_values
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe
from lorascope.run.splits import refuse_unknown_splits


def prepare_run(
    run: RunFolder, recipe: Recipe, *, overwrite: Overwrite = False, observer: Observer = SILENT
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
        RunError: The folder is taken by something else, prepare is finished with other inputs, or the run is
            being trained.
    """
    clock = StageClock()
    refuse_unknown_splits(recipe)
    _refuse_foreign_folder(run)
    recipe = lasting(recipe)
    origins = open_all(recipe, observer)
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    inputs = prepare_inputs(recipe, origins, tokenizer)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("prepare is up to date")
        return read_json(run.prepare_report)
    template = _template(recipe, tokenizer, origins)
    with (
        _new_folder(run.path),
        only_writer(run) if run.stage("train").is_dir() else contextlib.nullcontext(),
        committed_folder(run.stage("prepare"), replace=True) as folder,
    ):
        report = _into(folder, origins, template, recipe, observer)
    if "validation" not in report["splits"]:
        observer.note("no validation split: nothing was held out, so nothing can be measured on new examples")
    resolved = _resolved(recipe, template.name, report["max_length"])
    write_json(run.config, recipe_values(resolved))
    facts = {"dataset_sha256": report["dataset_sha256"], "template_sha256": template.sha256}
    record_stage(run, inputs, resolved=prepare_settings(resolved), clock=clock, facts=facts)
    return report


def _into(
    folder: Path, origins: Sequence[Origin], template: Template, recipe: Recipe, observer: Observer
) -> dict[str, Any]:
    """Read the sources through and write prepare/."""
    section = recipe.prepare
    with (
        StagedFile(folder / "staged.arrow") as staged,
        (folder / "dropped.jsonl").open("w", encoding="utf-8") as dropped,
    ):
        facts, accounts = _read_through(origins, template, recipe, staged, dropped, observer)
        staged.finish()
        max_length = _max_length(recipe, facts, observer)
        if section.truncation != "drop":
            facts = truncate(staged, facts, template, policy=section.truncation, max_length=max_length)
        _refuse_all_too_long(origins, facts, max_length)
        repeats = {}
        if section.near_duplicates is not None:
            least = section.near_duplicates
            repeats = find_repeats(staged, facts, jaccard=least, folder=folder, observer=observer)
        sections = [origin.section for origin in origins]
        groups = prompt_groups(facts, repeats)
        settled = settle(facts, groups, sections, section, max_length=max_length, seed=recipe.seed)
        overlap = overlap_of(settled.side_N, facts, repeats)
        cut = {} if section.truncation == "drop" else staged.cut_by_split(settled.masks())
        report = report_of(origins, accounts, facts, settled, repeats, overlap, staged, template)
        report["truncation"] = {"policy": section.truncation, "cut": cut}
        _write_over_length(dropped, staged, settled)
        report["dataset_sha256"] = write_examples(folder, staged, settled.masks(), overlap)
    report["scores"] = score_data(folder, recipe, observer) if section.score else None
    write_json(folder / "template.json", template.as_record())
    write_json(folder / "report.json", report)
    return report


def _read_through(
    origins: Sequence[Origin],
    template: Template,
    recipe: Recipe,
    staged: StagedFile,
    dropped: TextIO,
    observer: Observer,
) -> tuple[Facts, list[Account]]:
    """Stage the examples of all sources, and list their malformed rows."""
    accounts, facts = [Account() for _ in origins], []
    names = origins[0].name if len(origins) == 1 else f"{len(origins)} sources"
    with observer.task(f"reading {names}", 0, "rows") as advance:
        for place, worked in work_through(origins, template, recipe.prepare.targets):
            staged.append(worked.batch)
            write_dropped(dropped, worked.bad)
            facts.append(worked.facts)
            accounts[place].add(worked)
            advance(worked.num_rows)
    for origin, account in zip(origins, accounts, strict=True):
        refuse_too_many_bad(account, recipe.prepare.max_dropped, origin.where)
    return joined(facts), accounts


def _max_length(recipe: Recipe, facts: Facts, observer: Observer) -> int:
    asked = recipe.prepare.max_length
    context = base_context_length(recipe.base.id, revision=recipe.base.revision)
    found = resolve_max_length(asked, facts.num_tokens_N, context)
    if isinstance(asked, int) and asked > found:
        observer.note(f"prepare.max_length is {found:,} and not {asked:,}: so many tokens fit the base")
    return found


def _template(recipe: Recipe, tokenizer: Any, origins: Sequence[Origin]) -> Template:
    """The template, in the thinking mode that suits the first conversations of every source."""
    template = open_template(recipe.prepare.template, tokenizer)
    sample = [(one.messages, one.tools) for origin in origins for one in origin.sample()]
    return template.for_conversations(sample, recipe.prepare.targets)


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[None]:
    """Make the run folder; where it is new and nothing comes into it, it goes again."""
    was_there = path.exists()
    make_folder(path)
    remove_leftovers(path)
    try:
        yield
    except BaseException:
        if not was_there:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _refuse_all_too_long(origins: Sequence[Origin], facts: Facts, max_length: int) -> None:
    for place, origin in enumerate(origins):
        own_N = facts.num_tokens_N[facts.origin_N == place]
        shortest = int(own_N.min())
        if shortest > max_length:
            raise DataError(
                explain(
                    f"all {len(own_N):,} examples are longer than {max_length} tokens",
                    where=f"{origin.where}; the shortest has {shortest} tokens",
                    why="an example that does not fit is left out whole, and none is left",
                    fix="raise prepare.max_length, or use a base model with a longer context",
                )
            )


def _write_over_length(dropped: TextIO, staged: StagedFile, settled: Settled) -> None:
    for batch in staged.batches(settled.side_N == OVER_LENGTH):
        for row in batch.select(["file", "line", "row", "num_tokens"]).to_pylist():
            told = f"{row['num_tokens']} tokens, {settled.max_length} fit"
            write_dropped(dropped, [BadRow(row["line"], "over_length", told, row["row"], row["file"])])


def _resolved(recipe: Recipe, template: str, max_length: int) -> Recipe:
    """The recipe with what "auto" came to; a template's file stays its path."""
    asked = recipe.prepare.template
    settled = {"template": template if asked in TEMPLATES else asked, "max_length": max_length}
    return recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update=settled)})


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
