"""A run folder, as far as it got -> the evidence that rules look at. Reads files only; no model, no torch."""

from collections.abc import Sequence
from pathlib import Path

from lorascope.diagnose.beside import Identity
from lorascope.diagnose.evidence import Evidence, Json, State
from lorascope.diagnose.logs.curve import TrainPoints
from lorascope.diagnose.logs.step_log import read_step_log
from lorascope.diagnose.run_texts import leaked_rows, read_answers
from lorascope.diagnose.series import make_series
from lorascope.errors import NothingLogged, RunError, command, explain
from lorascope.run.folder import RunFolder, require
from lorascope.run.gaps import lacking_lines
from lorascope.run.lineage import adapter_hash, trained_dataset
from lorascope.run.lock import is_being_written
from lorascope.run.provenance import stage_record
from lorascope.run.records import EvalRecord, passed_over, read_evals, read_json
from lorascope.run.texts import answer_bytes


def read_evidence(run: RunFolder) -> Evidence:
    """Read a run as far as it got.

    Args:
        run: An existing run; its training may be going on, interrupted, failed or finished.

    Raises:
        RunError: Nothing has been trained, or a file is damaged.
        NothingLogged: There is no step and no evaluation yet.
    """
    require(run.stage("train"), stage="train", run=run)
    goes_on = is_being_written(run)  # asked first: what a training leaves, it has left before it lets go
    summary = _maybe(run.train_summary)  # then this: it is the last file that a training writes
    broken: dict[Path, list[int]] = {run.steps: [], run.evals: []}
    steps = read_step_log(run.steps, broken[run.steps])
    evals = tuple({one.step: one for one in read_evals(run.evals, broken[run.evals])}.values())
    problems = [passed_over(path, lines) for path, lines in broken.items() if lines]
    failure = _maybe(run.train_failure)
    went_past = failure is not None and (~steps.loss_not_finite & (steps.step >= failure["step"])).any()
    if goes_on or went_past:  # by a training that was resumed
        failure = None
    if not len(steps) and not evals and failure is None:
        raise _nothing_yet(run, problems, goes_on)
    scored = _scored_ids(run)
    problems += lacking_lines(run, steps.step, [one.step for one in evals], summary)
    state: State = "failed" if failure is not None else "finished" if summary is not None else "unfinished"
    return Evidence(
        run=str(run.path),
        state=state,
        steps=steps,
        evals=evals,
        trained_on=trained_dataset(run),
        failure=failure,
        summary=summary,
        prepare=_maybe(run.prepare_report),
        check=_maybe(run.check_report),
        rescored=(rescored := _rescored(run)),
        compared=_compared(run),
        validation_ids=(ids := scored.get("validation", ())),
        probe_ids=scored.get("probe", ()),
        prompt_use=_maybe(run.prompt_use) if summary is not None else None,
        leaked=leaked_rows(run.examples, ids),
        answers=read_answers(run, measured=rescored is not None),
        config=read_json(run.config),
        adapters=_adapters(run, steps, evals, summary),
        problems=tuple(problems),
        goes_on=goes_on,
    )


def _nothing_yet(run: RunFolder, problems: Sequence[str], goes_on: bool | None) -> RunError:
    """The error for a run without a step and an evaluation; lines that are damaged will not come right."""
    again, follow = command("train", run.path, "--resume"), command("watch", run.path)
    message = explain(
        "there is nothing to diagnose yet: no step and no evaluation",
        where=str(run.stage("train")),
        why="; ".join(problems) or "training has not come to its first evaluation, or was stopped before it",
        fix=f"wait for it: {follow}"
        if goes_on
        else again
        if goes_on is False
        else f"wait for it, or: {again}",
    )
    return RunError(message) if problems else NothingLogged(message)


def read_identity(run: RunFolder, validation_ids: Sequence[str]) -> Identity:
    """What the numbers of a run depend on, for comparing it with another.

    The rows of two runs are the same where their ids and the bytes of their answers are: an id names file and
    row, and a changed file changes the bytes of some answer.
    """
    prepared = stage_record(run, "prepare")
    return Identity(
        tokenizer=prepared.get("inputs", {}).get("tokenizer"),
        template=prepared.get("template_sha256"),
        validation=answer_bytes(run.examples, validation_ids),
    )


def _maybe(path: Path) -> Json | None:
    return read_json(path) if path.is_file() else None


def _rescored(run: RunFolder) -> Json | None:
    """What eval measured, unless it was another adapter than the run's last."""
    measured = run.stage("eval") / "adapter.json"
    seen = stage_record(run, "eval").get("inputs", {}).get("adapter")
    if not run.adapter.is_dir() or not measured.is_file() or seen != adapter_hash(run.adapter):
        return None
    return read_json(measured)


def _compared(run: RunFolder) -> Json | None:
    """What compare measured, unless it was another adapter than the run's last."""
    report = _maybe(run.stage("compare") / "report.json")
    if report is None or not run.adapter.is_dir():
        return None
    seen = stage_record(run, "compare").get("inputs", {})
    return report if adapter_hash(run.adapter) in seen.values() else None


def _scored_ids(run: RunFolder) -> dict[str, tuple[str, ...]]:
    """Ids of the rows that evaluations score, in the order of their losses."""
    return {name: tuple(ids) for name, ids in (_maybe(run.eval_sets) or {}).items()}


def _adapters(
    run: RunFolder, steps: TrainPoints, evals: tuple[EvalRecord, ...], summary: Json | None
) -> dict[str, int]:
    """Steps of the adapters on disk."""
    found: dict[str, int] = {}
    if run.adapter.is_dir() and len(steps):
        found["last"] = summary["steps"] if summary else int(steps.step[-1])
    if run.adapter_best.is_dir():
        best = summary["best_step"] if summary else None
        if best is None:
            scored = make_series(
                [(e.step, e.validation) for e in evals if e.validation is not None and e.step]
            )
            best = scored.steps[scored.best()] if scored else None
        if best is not None:
            found["best"] = best
    return found
