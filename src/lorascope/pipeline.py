"""The stages in their order: what `lorascope run` does, and the gate between check and train.

Stages never import each other; whoever runs several of them does it here.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain
from lorascope.run.folder import RunFolder, require
from lorascope.run.progress import SILENT, Judgement, Observer
from lorascope.run.provenance import Overwrite, read_provenance
from lorascope.run.recipe import make_recipe
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe

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
        overwrite: Make finished stages again whose inputs have changed.
        resume: Continue an interrupted training.
        observer: Told about progress.

    Returns:
        What each stage returned, by its name, and "report": the path of the page.

    Raises:
        LorascopeError: The first stage that fails; what was finished before it stays.
    """
    from lorascope.check.stage import check_run
    from lorascope.compare.passages import read_passages
    from lorascope.compare.stage import compare_run
    from lorascope.diagnose.stage import diagnose_run
    from lorascope.eval.stage import eval_run
    from lorascope.export.stage import export_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.report.stage import report_run

    if "compare" not in skip:
        read_passages(recipe.compare.unrelated)  # hours of training must not end at a file that is not there
    again: Overwrite = "stale" if overwrite else False  # what is up to date is never made again
    results: dict[str, Any] = {"prepare": prepare_run(run, recipe, overwrite=again, observer=observer)}
    recipe = _settled(run, recipe)
    results["check"] = check_run(run, recipe, observer=observer)
    observer.note(f"check: {results['check']['first_line']}")
    results["train"] = train_checked(run, recipe, overwrite=again, resume=resume, observer=observer)
    skip = [*skip, *_without_split(run, recipe, observer)]
    if "eval" not in skip:
        results["eval"] = eval_run(run, recipe, overwrite=again, observer=observer)
    if "compare" not in skip:
        results["compare"] = compare_run(run, recipe, overwrite=again, observer=observer)
    if "export" not in skip:
        target = merged or run.path / "merged"
        results["export"] = export_run(run, recipe, merged=target, overwrite=again, observer=observer)
    results["diagnose"] = diagnose_run(run)
    results["report"] = str(report_run(run))
    return results


def dry_run_all(
    run: RunFolder, recipe: Recipe, *, overwrite: bool = False, observer: Observer = SILENT
) -> dict[str, Any]:
    """Prepare and check for real, then plan the training and try its first steps; train nothing.

    Args:
        run: Where to; prepare and check are done there, and need not be done again.
        recipe: As asked for.
        overwrite: Prepare again where the settings have changed.
        observer: Told about progress.

    Returns:
        "prepare", "check", and what `train.dry_run.dry_run` returns.

    Raises:
        RunError: The check failed, or memory is not enough.
        NumericsError: The fast path gives another result than the plain one.
    """
    from lorascope.check.stage import check_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.train.dry_run import dry_run

    prepared = prepare_run(run, recipe, overwrite="stale" if overwrite else False, observer=observer)
    recipe = _settled(run, recipe)
    checked = check_run(run, recipe, observer=observer)
    observer.note(f"check: {checked['first_line']}")
    if not checked["passed"]:
        raise check_failed(run, checked)
    return {"prepare": prepared, "check": checked, **dry_run(run, recipe, observer=observer)}


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
        observer.note(f'{stage} is left out: there is no split "{asked[stage]}" (nothing was held out)')
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
    overwrite: Overwrite = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Train, after checking the data where that was not done for this very dataset and these allowances.

    Of several processes that train together one checks, and the others wait for what it finds.

    Raises:
        RunError: A check failed that is not allowed to; nothing is trained.
    """
    from lorascope.check.stage import check_run
    from lorascope.train.ranks import join_ranks
    from lorascope.train.stage import train_run

    require(run.dataset, stage="prepare", run=run)
    ranks = join_ranks()
    if ranks.writes and not _is_checked(run, recipe):
        observer.note(f"check: {check_run(run, recipe, observer=observer)['first_line']}")
    ranks.wait()
    report = read_json(run.check_report)
    if not report["passed"]:
        raise check_failed(run, report)
    return train_run(run, recipe, overwrite=overwrite, resume=resume, observer=observer, judge=judge_run)


def judge_run(run: RunFolder, stop_on: Sequence[str]) -> Judgement:
    """Read the signals of a run that is being trained; the judge of `train_run`.

    Args:
        run: With at least one evaluation.
        stop_on: Rules that end the training where they find something.
    """
    from lorascope.diagnose.rules import diagnose
    from lorascope.diagnose.run_evidence import read_evidence

    report = diagnose(read_evidence(run))
    found = next((one for one in report["findings"] if one["rule"] in stop_on), None)
    stop = None if found is None else f"{found['rule'].replace('_', ' ')}: {found['title']}"
    return Judgement(verdict=report["verdict"], reason=report["verdict_reason"], stop=stop)


def _is_checked(run: RunFolder, recipe: Recipe) -> bool:
    report = read_json(run.check_report) if run.check_report.is_file() else {}
    if report.get("dataset_sha256") != read_json(run.prepare_report)["dataset_sha256"]:
        return False
    return bool(report.get("passed")) and not set(report.get("failed", ())) - set(recipe.check.allow)


def check_failed(run: RunFolder, report: dict[str, Any]) -> RunError:
    """The error of a gate that did not pass."""
    failed = [name for name in report["failed"] if name not in report["allowed"]]
    return RunError(
        explain(
            f"the check failed: {report['first_line']}",
            where=str(run.check_report),
            why="training on this data would teach the wrong thing, and nothing in its loss would show it",
            fix="mend the data, or accept it on record: --set "
            + shlex.quote(f"check.allow=[{','.join(failed)}]"),
        )
    )
