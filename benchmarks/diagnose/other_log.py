"""The log of a training as transformers would have written it: what tools that read curves get to see."""

import json
from pathlib import Path
from typing import Any


def log_of(logs: Path, key: str) -> Path:
    """The log of a trial."""
    return logs / _as_name(key) / "trainer_state.json"


def _as_name(key: str) -> str:
    return key.replace("|", "-").replace(" ", "_")


def evidence_of(work: Path, key: str) -> Path:
    """The run folder of a trial, kept without its checkpoints."""
    return work / "runs" / _as_name(key)


def write_trainer_state(run: Path, target: Path) -> None:
    """Write a trainer_state.json of a run; nothing where it did no step.

    Args:
        run: The run folder.
        target: The file.
    """
    from lorascope.run.folder import RunFolder
    from lorascope.run.records import read_evals, read_steps

    folder = RunFolder(run)
    if not folder.steps.is_file():
        return
    history: list[tuple[int, int, dict[str, Any]]] = []
    for step in read_steps(folder.steps):
        history.append(
            (
                step.step,
                0,
                {
                    "step": step.step,
                    "epoch": step.epoch,
                    "loss": step.loss,
                    "grad_norm": step.grad_norm,
                    "learning_rate": step.learning_rate,
                },
            )
        )
    for one in read_evals(folder.evals):
        if one.validation is not None:
            history.append(
                (one.step, 1, {"step": one.step, "epoch": one.epoch, "eval_loss": one.validation.loss})
            )
    entries = [entry for _, _, entry in sorted(history, key=lambda part: part[:2])]
    state = {"global_step": max((entry["step"] for entry in entries), default=0), "log_history": entries}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(state), encoding="utf-8")
