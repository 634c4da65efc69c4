"""Everything a run has left on disk, read once; what a stage has not written yet is None."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.run.current import recipe_of
from lorascope.run.folder import RunFolder
from lorascope.run.gaps import lacking_lines
from lorascope.run.provenance import read_provenance
from lorascope.run.recipe import recipe_values
from lorascope.run.records import (
    EvalRecord,
    StepRecord,
    passed_over,
    read_evals,
    read_json,
    read_lines,
    read_steps,
)
from lorascope.run.texts import answer_bytes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the page is made from.

    Attributes:
        name: Of the run.
        config: The recipe.
        provenance: Versions, hashes and durations.
        prepare: prepare/report.json.
        check: check/report.json.
        train: train/summary.json.
        failure: train/failure.json.
        steps: The step log.
        evals: The evaluations during training.
        validation_bytes: UTF-8 bytes of the answers of validation rows in the order of their losses; empty
            where they are not known.
        samples: train/samples.jsonl.
        base: eval/base.json.
        adapter: eval/adapter.json.
        compare: compare/report.json.
        generations: compare/generations.jsonl.
        diagnose: diagnose/report.json.
        export: export/report.json.
        problems: What could not be read of logs, and what they lack, a sentence each.
    """

    name: str
    config: Json
    provenance: Json
    prepare: Json | None
    check: Json | None
    train: Json | None
    failure: Json | None
    steps: list[StepRecord]
    evals: list[EvalRecord]
    validation_bytes: list[int]
    samples: list[Json]
    base: Json | None
    adapter: Json | None
    compare: Json | None
    generations: list[Json]
    diagnose: Json | None
    export: Json | None
    problems: tuple[str, ...]


def gather_facts(run: RunFolder) -> Facts:
    """Read a run folder.

    Args:
        run: An existing run.

    Raises:
        RunError: A file is there and cannot be read.
    """
    generations = run.stage("compare") / "generations.jsonl"
    broken: dict[Path, list[int]] = {run.steps: [], run.evals: [], run.samples: [], generations: []}
    summary = _maybe(run.train_summary)  # the last file that a training writes: the logs are whole with it
    steps, evals = read_steps(run.steps, broken[run.steps]), read_evals(run.evals, broken[run.evals])
    return Facts(
        name=run.name,
        config=recipe_values(recipe_of(run)),
        provenance=read_provenance(run),
        prepare=_maybe(run.prepare_report),
        check=_maybe(run.check_report),
        train=summary,
        failure=_maybe(run.train_failure),
        steps=steps,
        evals=evals,
        validation_bytes=_validation_bytes(run),
        samples=list(read_lines(run.samples, broken[run.samples])),
        base=_maybe(run.stage("eval") / "base.json"),
        adapter=_maybe(run.stage("eval") / "adapter.json"),
        compare=_maybe(run.stage("compare") / "report.json"),
        generations=list(read_lines(generations, broken[generations])),
        diagnose=_maybe(run.stage("diagnose") / "report.json"),
        export=_maybe(run.stage("export") / "report.json"),
        # Last: what was read above has filled `broken`.
        problems=(
            *(passed_over(path, lines) for path, lines in broken.items() if lines),
            *lacking_lines(run, sorted({one.step for one in steps}), [one.step for one in evals], summary),
        ),
    )


def _validation_bytes(run: RunFolder) -> list[int]:
    ids = (_maybe(run.eval_sets) or {}).get("validation", [])
    size_of = answer_bytes(run.examples, ids)
    return [size_of[one] for one in ids] if ids and all(one in size_of for one in ids) else []


def _maybe(path: Path) -> Json | None:
    return read_json(path) if path.is_file() else None
