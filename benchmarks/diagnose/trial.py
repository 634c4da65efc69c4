"""One trial: rows, a spoilt or healthy training, and what check and diagnose said of it."""

import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from faults import BASE_RATE, Fault, Rows
from other_log import evidence_of, log_of, write_trainer_state

NUM_ROWS, NUM_VALIDATION = 320, 160
IGNORE = -100
_SABOTAGED = 40


def starter_rows() -> Rows:
    """The bundled starter's rows."""
    from lorascope.starter import base_folder

    data = Path(base_folder()).parent / "data" / "alpaca_starter.json"
    rows: Rows = json.loads(data.read_text(encoding="utf-8"))
    return rows


def run_trial(
    key: str, fault: Fault | None, severity: float, settings: Mapping[str, Any], seed: int, work: Path
) -> dict[str, Any]:
    """Train once and read the signals.

    Args:
        key: Of the trial: names its folder, which is kept without its checkpoints.
        fault: What is planted; None for a healthy training.
        severity: How badly.
        settings: Of a healthy variant.
        seed: Of the rows drawn, the fault and the training.
        work: Where run folders and logs go, the latter as transformers would have written them.

    Returns:
        "checks" that failed, "verdict", "findings" (rule -> severity), "seconds", and "steps".
    """
    folder = evidence_of(work, key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.perf_counter()
    generator = np.random.default_rng([seed, 17])
    planted = dict(fault.settings(severity)) if fault else dict(settings)
    num_validation = planted.pop("validation_rows", NUM_VALIDATION)
    num_rows = planted.pop("rows", NUM_ROWS)
    drawn = [starter_rows()[index] for index in generator.permutation(1600)[: num_rows + NUM_VALIDATION]]
    train, validation = drawn[:num_rows], drawn[num_rows:]
    rows = [*train, *validation[:num_validation]]
    if fault and fault.rows:
        rows = fault.rows(rows, severity, generator)
    held_out = None
    if fault and fault.validation:  # a split of one file would keep copies on one side
        leaked = fault.validation(train, severity, generator)
        rows, held_out = train, [*leaked, *validation[len(leaked) :]]
    found = _trained(folder, rows, held_out or num_validation, planted, seed, fault, severity)
    write_trainer_state(folder / "run", log_of(work / "logs", key))
    shutil.rmtree(folder / "run" / "train" / "checkpoints", ignore_errors=True)
    return {**found, "seconds": round(time.perf_counter() - started, 1)}


def judge(run: Path) -> dict[str, Any]:
    """What diagnose says of a training as it stands on disk."""
    from lorascope.diagnose.stage import diagnose_run
    from lorascope.run.folder import RunFolder

    report = diagnose_run(RunFolder(run))
    return {
        "verdict": report["verdict"],
        "findings": {one["rule"]: one["severity"] for one in report["findings"]},
        "steps": report["last_step"],
    }


def _trained(
    folder: Path,
    rows: Rows,
    held_out: Rows | int,
    planted: dict[str, Any],
    seed: int,
    fault: Fault | None,
    severity: float,
) -> dict[str, Any]:
    from lorascope.errors import LorascopeError
    from lorascope.pipeline import judge_run
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe, with_overrides
    from lorascope.starter import base_folder

    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    validation: str | int = str(folder / "validation.json") if isinstance(held_out, list) else held_out
    if isinstance(held_out, list):
        (folder / "validation.json").write_text(json.dumps(held_out), encoding="utf-8")
    values = {
        "base": str(base_folder()),
        "data": str(folder / "rows.json"),
        "seed": seed,
        "prepare": {"validation": validation, "max_length": 90, "max_dropped": 0.5},
        "lora": {"rank": 16, "alpha": 32},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": BASE_RATE, "eval_steps": 8},
        "check": {"allow": ["overlap"]},
    }
    values = with_overrides(
        values, [f"{name}={json.dumps(value)}" for name, value in planted.items() if name != "seed"]
    )
    recipe, run = make_recipe(values), RunFolder(folder / "run")
    prepare_run(run, recipe)
    if fault and fault.labels:
        return _checked_labels(run, fault.labels, severity, seed)
    failed = _check(run, recipe)
    with _sabotaged(fault, severity):
        try:
            _train(run, recipe, judge_run)
        except LorascopeError as error:
            if not run.train_failure.is_file():
                return {
                    "checks": failed,
                    "verdict": "refused",
                    "findings": {},
                    "why": str(error).splitlines()[0],
                }
    return {"checks": failed, **judge(run.path)}


def _check(run: Any, recipe: Any) -> list[str]:
    from lorascope.check.stage import check_run

    report = check_run(run, recipe)
    return [
        *report["failed"],
        *(one["name"] for one in report.get("notices", ()) if one["severity"] == "warn"),
    ]


def _train(run: Any, recipe: Any, judge: Any) -> None:
    from lorascope.train.stage import train_run

    train_run(run, recipe, judge=judge)


def _sabotaged(fault: Fault | None, severity: float) -> Any:
    """Let a fault at model or optimizer just before step 40."""
    if fault is None or fault.sabotage is None:
        return contextlib.nullcontext()
    from lorascope.train import stage

    real, calls = stage.optimizer_step, count(1)

    def sabotaged(trainee: Any, examples: Any, **given: Any) -> Any:
        if next(calls) == _SABOTAGED:
            fault.sabotage(trainee, severity)
        return real(trainee, examples, **given)

    return mock.patch.object(stage, "optimizer_step", sabotaged)


def _checked_labels(run: Any, kind: str, severity: float, seed: int) -> dict[str, Any]:
    """Spoil the labels of a share of the rows, as another tool's collator would, and check the dataset."""
    import datasets

    from lorascope.check.stage import check_dataset
    from lorascope.starter import base_folder

    generator = np.random.default_rng([seed, 23])
    loaded = datasets.load_from_disk(str(run.dataset))

    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        labels = list(row["labels"])
        if generator.random() < severity:
            targets = [index for index, label in enumerate(labels) if label != IGNORE]
            for index in targets if kind == "masked" else targets[-1:]:
                labels[index] = IGNORE
        return {"labels": labels}

    spoilt = loaded["train"].map(spoil, load_from_cache_file=False, keep_in_memory=True)
    folder = run.path / "elsewhere"
    datasets.DatasetDict({"train": spoilt}).save_to_disk(str(folder))
    report = check_dataset(folder, str(base_folder()))
    noticed = [one["name"] for one in report.get("notices", ()) if one["severity"] == "warn"]
    return {"checks": [*report["failed"], *noticed], "verdict": "refused", "findings": {}}
