"""prepare: data file + base model -> token ids with labels in splits, what was dropped, and what repeats.

Two passes: rows are read, worded and tokenised into a staged file; then, when every length and every prompt
is known, the length limit and the splits are decided, and each example is written where it belongs.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lorascope.errors import DataError, RunError, explain, nearest
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.lm.load import base_context_length, load_tokenizer
from lorascope.lm.template import Template, resolve_template
from lorascope.prepare.account import Account, refuse_too_many_bad
from lorascope.prepare.facts import Facts, joined
from lorascope.prepare.lengths import resolve_max_length
from lorascope.prepare.origin import Origin, open_origin
from lorascope.prepare.parallel import work_through
from lorascope.prepare.read import BadRow
from lorascope.prepare.settled import Settled, settle
from lorascope.prepare.staged import StagedFile
from lorascope.prepare.summary import report_of
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
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import Overwrite, StageClock, StageInputs, is_up_to_date, record_stage
from lorascope.run.recipe import recipe_values
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe
from lorascope.run.splits import SPLITS, refuse_unknown_splits


@dataclass(frozen=True, slots=True)
class _Source:
    """The files to read: the data, and a validation file of the user's own where one is named."""

    data: Path
    validation: Path | None


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
    recipe = recipe.model_copy(
        update={"base": recipe.base.model_copy(update={"id": _lasting(recipe.base.id)})}
    )
    source = _source(recipe)
    origins = _open(source, recipe, observer)
    tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
    inputs = _inputs(recipe, origins, tokenizer)
    if is_up_to_date(run, inputs, overwrite=overwrite):
        observer.note("prepare is up to date")
        return read_json(run.prepare_report)
    template = _template(recipe, tokenizer, origins[0])
    with (
        _new_folder(run.path),
        only_writer(run) if run.stage("train").is_dir() else contextlib.nullcontext(),
        committed_folder(run.stage("prepare"), replace=True) as folder,
    ):
        report = _into(folder, origins, template, recipe, observer)
    if "validation" not in report["splits"]:
        observer.note("no validation split: nothing was held out, so nothing can be measured on new examples")
    resolved = _resolved(recipe, source, template.name, report["max_length"])
    write_json(run.config, recipe_values(resolved))
    facts = {"dataset_sha256": report["dataset_sha256"], "template_sha256": template.sha256}
    record_stage(run, inputs, resolved=_settings(resolved), clock=clock, facts=facts)
    return report


def _into(
    folder: Path, origins: Sequence[Origin], template: Template, recipe: Recipe, observer: Observer
) -> dict[str, Any]:
    """Read the files through and write prepare/."""
    with (
        StagedFile(folder / "staged.arrow") as staged,
        (folder / "dropped.jsonl").open("w", encoding="utf-8") as dropped,
    ):
        facts, accounts = [], []
        for origin in origins:
            own, account = _read_through(origin, template, recipe, staged, dropped, observer)
            facts.append(own)
            accounts.append(account)
        staged.finish()
        whole = joined(facts)
        forced_N = np.concatenate([_forced(one, len(own)) for one, own in zip(origins, facts, strict=True)])
        context = base_context_length(recipe.base.id, revision=recipe.base.revision)
        max_length = resolve_max_length(recipe.prepare.max_length, whole.num_tokens_N, context)
        asked = recipe.prepare.max_length
        if isinstance(asked, int) and asked > max_length:
            observer.note(
                f"prepare.max_length is {max_length:,} and not {asked:,}: so many tokens fit the base"
            )
        _refuse_all_too_long(origins, facts, max_length)
        settled = settle(whole, forced_N, recipe.prepare, max_length=max_length, seed=recipe.seed)
        report = report_of(origins, accounts, whole, settled, staged, template)
        _write_over_length(dropped, staged, settled)
        report["dataset_sha256"] = write_examples(folder, staged, settled.masks())
    write_json(folder / "template.json", template.as_record())
    write_json(folder / "report.json", report)
    return report


def _read_through(
    origin: Origin,
    template: Template,
    recipe: Recipe,
    staged: StagedFile,
    dropped: TextIO,
    observer: Observer,
) -> tuple[Facts, Account]:
    """Stage the examples of one file, and list its malformed rows."""
    account, facts = Account(), []
    with observer.task(f"reading {origin.path.name}", 0, "rows") as advance:
        for worked in work_through(origin, template, recipe.prepare.targets):
            staged.append(worked.batch)
            write_dropped(dropped, origin.file, worked.bad)
            facts.append(worked.facts)
            account.add(worked)
            advance(worked.num_rows)
    refuse_too_many_bad(account, recipe.prepare.max_dropped, origin.path)
    return joined(facts), account


def _open(source: _Source, recipe: Recipe, observer: Observer) -> list[Origin]:
    named = recipe.prepare.format
    columns = recipe.prepare.columns
    origins = [open_origin(source.data, observer, named=named, columns=columns)]
    own = source.validation
    if own is not None:
        # Two files of one name must not give two examples one id.
        name = f"validation/{own.name}" if own.name == source.data.name else None
        origins.append(
            open_origin(own, observer, named=named, columns=columns, file=name, split="validation")
        )
    return origins


def _template(recipe: Recipe, tokenizer: Any, origin: Origin) -> Template:
    """The template, in the thinking mode that suits the first conversations."""
    template = Template(resolve_template(recipe.prepare.template, tokenizer), tokenizer)
    sample = [(one.messages, one.tools) for one in origin.sample()]
    return template.for_conversations(sample, recipe.prepare.targets)


def _forced(origin: Origin, num: int) -> np.ndarray:
    return np.full(num, -1 if origin.split is None else SPLITS.index(origin.split), dtype=np.int8)


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


def _refuse_all_too_long(origins: Sequence[Origin], facts: Sequence[Facts], max_length: int) -> None:
    for origin, own in zip(origins, facts, strict=True):
        shortest = int(own.num_tokens_N.min())
        if shortest > max_length:
            raise DataError(
                explain(
                    f"all {len(own):,} examples are longer than {max_length} tokens",
                    where=f"{origin.path}; the shortest has {shortest} tokens",
                    why="an example that does not fit is left out whole, and none is left",
                    fix="raise prepare.max_length, or use a base model with a longer context",
                )
            )


def _write_over_length(dropped: TextIO, staged: StagedFile, settled: Settled) -> None:
    for batch in staged.batches(settled.side_N < 0):
        for row in batch.select(["file", "line", "row", "num_tokens"]).to_pylist():
            told = f"{row['num_tokens']} tokens, {settled.max_length} fit"
            write_dropped(dropped, row["file"], [BadRow(row["line"], "over_length", told, row["row"])])


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


def _inputs(recipe: Recipe, origins: Sequence[Origin], tokenizer: Any) -> StageInputs:
    hashes = {"data": origins[0].source.sha256(), "tokenizer": tokenizer_fingerprint(tokenizer)}
    for origin in origins[1:]:
        hashes["validation"] = origin.source.sha256()
    return StageInputs(stage="prepare", settings=_settings(recipe), hashes=hashes)
