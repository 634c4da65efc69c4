"""The stages in their order: what `lorascope run` does, and the gate between check and train.

Stages never import each other; whoever runs several of them does it here.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import RunError, explain
from lorascope.run.folder import RunFolder, require
from lorascope.run.progress import SILENT, Observer
from lorascope.run.provenance import read_provenance
from lorascope.run.recipe import make_recipe, with_overrides
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe

if TYPE_CHECKING:
    from lorascope.run.dataset import Example
    from lorascope.run.texts import ExampleText

SKIPPABLE = ("eval", "compare", "export")
"""Stages that `run` may leave out; everything else is needed by what follows it."""


def run_all(
    run: RunFolder,
    recipe: Recipe,
    *,
    merged: Path | None = None,
    skip: Sequence[str] = (),
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Go through every stage, skipping what is up to date.

    Args:
        run: Where to; it need not exist.
        recipe: As asked for.
        merged: Where the merged model goes; RUN/merged where None.
        skip: Of `SKIPPABLE`, what to leave out.
        overwrite: Make finished stages again.
        resume: Continue an interrupted training.
        observer: Told about progress.

    Returns:
        What each stage returned, by its name, and "report": the path of the page.

    Raises:
        LorascopeError: The first stage that fails; what was finished before it stays.
    """
    from lorascope.check.stage import check_run
    from lorascope.compare.stage import compare_run
    from lorascope.diagnose.stage import diagnose_run
    from lorascope.eval.stage import eval_run
    from lorascope.export.stage import export_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.report.stage import report_run

    results: dict[str, Any] = {"prepare": prepare_run(run, recipe, overwrite=overwrite, observer=observer)}
    recipe = _settled(run, recipe)
    results["check"] = check_run(run, recipe, observer=observer)
    observer.note(f"check: {results['check']['first_line']}")
    results["train"] = train_checked(run, recipe, overwrite=overwrite, resume=resume, observer=observer)
    skip = [*skip, *_without_split(run, recipe, observer)]
    if "eval" not in skip:
        results["eval"] = eval_run(run, recipe, overwrite=overwrite, observer=observer)
    if "compare" not in skip:
        results["compare"] = compare_run(run, recipe, overwrite=overwrite, observer=observer)
    if "export" not in skip:
        target = merged or run.path / "merged"
        results["export"] = export_run(run, recipe, merged=target, overwrite=overwrite, observer=observer)
    results["diagnose"] = diagnose_run(run)
    results["report"] = str(report_run(run))
    return results


def report_current(run: RunFolder) -> Path:
    """Write the run's page, after reading its signals anew, so that the two cannot contradict each other.

    Args:
        run: An existing run, however far it has come.

    Returns:
        RUN/report.html.
    """
    from lorascope.diagnose.stage import diagnose_run
    from lorascope.report.stage import report_run

    if run.steps.is_file() or run.evals.is_file():
        diagnose_run(run)
    return report_run(run)


def _without_split(run: RunFolder, recipe: Recipe, observer: Observer) -> list[str]:
    """Stages that cannot run because nothing was held out; said aloud."""
    splits = read_json(run.prepare_report)["splits"]
    asked = {"eval": recipe.eval.split, "compare": recipe.compare.split}
    missing = [stage for stage, split in asked.items() if split not in splits]
    for stage in missing:
        observer.note(f'{stage} is left out: there is no split "{asked[stage]}" (prepare.validation is 0)')
    return missing


def repeated_differently(run: RunFolder, source: Path | None) -> list[str]:
    """Name what differs between a run and the one whose config.json it repeats.

    Args:
        run: Finished.
        source: The recipe it was made from; only a config.json with its provenance.json beside it can be
            compared.

    Returns:
        One sentence per hash or version that differs; empty where all agree or nothing is repeated.
    """
    if source is None or source.name != "config.json":
        return []
    theirs = read_provenance(RunFolder(source.parent))["stages"]
    ours = read_provenance(run)["stages"]
    found = []
    for stage in ("prepare", "train"):
        before, after = theirs.get(stage, {}), ours.get(stage, {})
        for part in ("inputs", "versions"):
            for name, value in before.get(part, {}).items():
                now = after.get(part, {}).get(name)
                if now != value:
                    found.append(f"{stage}: {name} was {_short(value)}, now {_short(now)}")
    return list(dict.fromkeys(found))


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _settled(run: RunFolder, recipe: Recipe) -> Recipe:
    """The recipe with what prepare has settled: later stages want its numbers, not "auto"."""
    stored = make_recipe(read_json(run.config), str(run.config))
    return recipe.model_copy(update={"prepare": stored.prepare, "base": stored.base, "data": stored.data})


def train_checked(
    run: RunFolder,
    recipe: Recipe,
    *,
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Train, after checking the data where that was not done for this very dataset and these allowances.

    Raises:
        RunError: A check failed that is not allowed to; nothing is trained.
    """
    from lorascope.check.stage import check_run
    from lorascope.train.stage import train_run

    require(run.dataset, stage="prepare", run=run)
    report = read_json(run.check_report) if run.check_report.is_file() else {}
    current = report.get("dataset_sha256") == read_json(run.prepare_report)["dataset_sha256"]
    if not current or set(report.get("failed", ())) - set(recipe.check.allow) or not report.get("passed"):
        report = check_run(run, recipe, observer=observer)
        observer.note(f"check: {report['first_line']}")
    if not report["passed"]:
        raise check_failed(run, report)
    return train_run(run, recipe, overwrite=overwrite, resume=resume, observer=observer)


def check_failed(run: RunFolder, report: dict[str, Any]) -> RunError:
    """The error of a gate that did not pass."""
    failed = [name for name in report["failed"] if name not in report["allowed"]]
    return RunError(
        explain(
            f"the check failed: {report['first_line']}",
            where=str(run.check_report),
            why="training on this data would teach the wrong thing, and nothing in its loss would show it",
            fix=f"mend the data, or accept it on record: --set check.allow=[{','.join(failed)}]",
        )
    )


def eval_without_run(
    *, base: str, adapter: str | None, data: Path, settings: Sequence[str], observer: Observer = SILENT
) -> dict[str, Any]:
    """Evaluate any adapter on any data, without a run folder.

    Args:
        base: A folder or Hub name.
        adapter: A folder or Hub name; None measures the base alone.
        data: A data file, prepared here as `prepare` would, or a tokenised dataset made elsewhere.
        settings: "section.key=value" changes to the defaults.
        observer: Told about progress.

    Returns:
        {"base": ..., "adapter": ...} as of `eval.stage.eval_run`.
    """
    from lorascope.eval.stage import Work, evaluate_pair
    from lorascope.lm.pair import load_pair
    from lorascope.lm.template import load_template
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.dataset import load_examples, load_splits
    from lorascope.run.texts import read_texts

    recipe = make_recipe(with_overrides({"base": base, "data": str(data)}, settings), "command line")
    with tempfile.TemporaryDirectory(prefix="lorascope-") as folder:
        dataset, texts, template_file = data, {}, None
        if data.is_file() or not data.exists():
            run = RunFolder(Path(folder) / "run")
            whole = recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update={"validation": 0})})
            report = prepare_run(run, whole, observer=observer)
            recipe = _with_split(recipe, "train", report["max_length"])
            texts = {text.example_id: text for text in read_texts(run.examples)}
            dataset, template_file = run.dataset, run.template
        elif recipe.eval.split not in (splits := load_splits(data)) and len(splits) == 1:
            recipe = _with_split(recipe, next(iter(splits)), recipe.prepare.max_length)
        examples, _ = load_examples(dataset, recipe.eval.split)
        pair = load_pair(base, adapter, revision=recipe.base.revision, precision=recipe.eval.precision)
        work = Work(
            examples=examples,
            texts=texts,
            template=None if template_file is None else load_template(template_file, pair.tokenizer),
            max_length=recipe.prepare.max_length if isinstance(recipe.prepare.max_length, int) else None,
            section=recipe.eval,
        )
        evaluated = evaluate_pair(pair, work, observer=observer)
    return {"base": evaluated.base, "adapter": evaluated.adapter}


def _with_split(recipe: Recipe, split: str, max_length: int | str) -> Recipe:
    return recipe.model_copy(
        update={
            "eval": recipe.eval.model_copy(update={"split": split}),
            "prepare": recipe.prepare.model_copy(update={"max_length": max_length}),
        }
    )


def compare_without_run(
    *,
    base: str,
    adapter: str,
    data: Path | None,
    prompts: Path | None,
    settings: Sequence[str],
    out: Path | None = None,
    overwrite: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Compare any adapter with its base, without a run folder.

    Args:
        base: A folder or Hub name.
        adapter: A folder or Hub name.
        data: A data file, prepared here as `prepare` would, or a tokenised dataset made elsewhere; None
            compares at the last position of the prompts only.
        prompts: A prompts file.
        settings: "section.key=value" changes to the defaults.
        out: A folder for what a run would keep in compare/; None keeps nothing.
        overwrite: Whether that folder may be replaced.
        observer: Told about progress.

    Returns:
        As of `compare.stage.compare_run`.
    """
    from lorascope.compare.find_template import find_template
    from lorascope.compare.prompts import read_prompts
    from lorascope.compare.record import write_compared
    from lorascope.compare.stage import compare_pair
    from lorascope.lm.pair import load_pair
    from lorascope.run.commit import committed_folder

    recipe = make_recipe(with_overrides({"base": base, "data": str(data or "-")}, settings), "command line")
    if prompts is not None:
        read_prompts(prompts)
    pair = load_pair(base, adapter, revision=recipe.base.revision, precision=recipe.eval.precision)
    template, origin = find_template(recipe.prepare.template, pair.adapter, pair.tokenizer)
    work = _compare_work(recipe, data, prompts, template, origin, observer)
    compared = compare_pair(pair, work, base=base, observer=observer)
    if out is not None:
        with committed_folder(out, replace=overwrite) as staged:
            write_compared(staged, compared)
    return {**compared.report, "generations": compared.generations}


def _compare_work(
    recipe: Recipe, data: Path | None, prompts: Path | None, template: Any, origin: str, observer: Observer
) -> Any:
    """The examples of a data file or dataset, in the template that was found, as work for compare."""
    from lorascope.compare.find_template import insist_same
    from lorascope.compare.stage import Work
    from lorascope.lm.template import load_template
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.dataset import load_examples, load_splits
    from lorascope.run.texts import read_texts

    section = recipe.compare
    examples: list[Example] = []
    texts: dict[str, ExampleText] = {}
    if data is not None and (data.is_file() or not data.exists()):
        with tempfile.TemporaryDirectory(prefix="lorascope-") as folder:
            run = RunFolder(Path(folder) / "run")
            settled = recipe.prepare.model_copy(update={"validation": 0, "template": template.name})
            prepare_run(run, recipe.model_copy(update={"prepare": settled}), observer=observer)
            insist_same(template, load_template(run.template, template.tokenizer), origin)
            section = section.model_copy(update={"split": "train"})
            texts = {text.example_id: text for text in read_texts(run.examples)}
            examples, _ = load_examples(run.dataset, "train")
    elif data is not None:
        splits = load_splits(data)
        if section.split not in splits and len(splits) == 1:
            section = section.model_copy(update={"split": next(iter(splits))})
        examples, _ = load_examples(data, section.split)
    return Work(
        examples=examples,
        texts=texts,
        template=template,
        template_from=origin,
        prompts_file=prompts,
        section=section,
        seed=recipe.seed,
    )
