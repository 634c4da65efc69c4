"""diagnose: the files of a run, as far as they go, or the log of another trainer -> a report."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lorascope.diagnose.beside import Side, beside
from lorascope.diagnose.log_evidence import log_evidence
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.open_log import open_log
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.run_evidence import read_evidence, read_identity
from lorascope.run.commit import committed_folder, sha256_of, write_json
from lorascope.run.folder import RunFolder, is_run, open_run
from lorascope.run.provenance import StageClock, StageInputs, record_stage


def diagnose_run(run: RunFolder) -> dict[str, Any]:
    """Read a run's signals and write diagnose/report.json, anew each time.

    Args:
        run: Its training may be going on, interrupted, failed or finished.

    Returns:
        The report.

    Raises:
        RunError: Nothing has been trained, or a log is damaged.
    """
    clock = StageClock()
    evidence = read_evidence(run)
    # A training that goes on writes provenance.json itself: never race with it.
    logs = (run.steps, run.evals) if evidence.state == "finished" else ()
    with ThreadPoolExecutor(1) as thread:  # a long log takes as long to hash as to judge
        hashes = thread.submit(lambda: {path.stem: sha256_of(path) for path in logs if path.is_file()})
        report = diagnose(evidence)
    with committed_folder(run.stage("diagnose"), replace=True) as folder:
        write_json(folder / "report.json", report)
    if evidence.state == "finished":
        inputs = StageInputs(stage="diagnose", settings={}, hashes=hashes.result())
        record_stage(run, inputs, resolved={}, clock=clock, facts={"verdict": report["verdict"]})
    return report


def diagnose_path(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Diagnose whatever a path holds: a run of ours, or the log of another trainer.

    Args:
        path: Of a run folder or a log.
        columns: As in `open_log`; of no use for a run.
    """
    if is_run(path):
        return diagnose_run(open_run(path))
    return diagnose_log(open_log(path, columns), str(path))


def diagnose_beside(paths: Sequence[Path], columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Put several trainings beside each other, see `beside`; nothing is written."""
    sides = []
    for path in paths:
        if is_run(path):
            run = open_run(path)
            evidence = read_evidence(run)
            identity = read_identity(run, evidence.validation_ids)
            sides.append(
                Side(name=str(path), evidence=evidence, report=diagnose(evidence), identity=identity)
            )
        else:
            evidence = log_evidence(open_log(path, columns), str(path))
            sides.append(Side(name=str(path), evidence=evidence, report=diagnose(evidence)))
    return beside(sides)


def diagnose_log(log: LoggedRun, name: str) -> dict[str, Any]:
    """Read the log of another trainer.

    Args:
        log: As `open_log` read it.
        name: The path as the command names it.

    Returns:
        The report, as of a run of ours, with "log": what was recognised, which columns were taken for what,
        and everything noteworthy about the reading. Nothing is written.
    """
    report = diagnose(log_evidence(log, name))
    return {
        **report,
        "log": {
            "format": log.format,
            "path": str(log.path),
            "columns": dict(log.columns),
            "num_training_points": len(log.train),
            "num_evaluations": len(log.evals),
            "step_is_row": log.step_is_row,
            "problems": list(log.problems),
        },
    }
