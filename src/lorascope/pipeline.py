"""The stages in their order: what `lorascope run` does, and the gate between check and train.

Stages never import each other; whoever runs several of them does it here.
"""

from typing import Any

from lorascope.errors import RunError, explain
from lorascope.run.folder import RunFolder, require
from lorascope.run.progress import SILENT, Observer
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe


def train_checked(
    run: RunFolder, recipe: Recipe, *, overwrite: bool = False, resume: bool = False, observer: Observer = SILENT
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
