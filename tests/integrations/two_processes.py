"""What test_processes.py launches in two processes: trainings by a Trainer, told about rank by rank.

python -m torch.distributed.run --nproc-per-node 2 two_processes.py BASE FOLDER
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from test_callback import IGNORE, lines_of, rows_for, trainer_of

from lorascope.errors import DataError
from lorascope.integrations import LorascopeCallback

BASE, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
RANK = int(os.environ["RANK"])


def uneven_rows() -> list[dict[str, Any]]:
    """Rows whose targets differ, so that a mean of the processes' means is not the mean over tokens."""
    from transformers import AutoTokenizer

    rows = rows_for(AutoTokenizer.from_pretrained(BASE))
    for number, row in enumerate(rows):
        first = next(at for at, label in enumerate(row["labels"]) if label != IGNORE)
        hidden = number % 3  # the first targets of some rows are not asked for
        row["labels"][first : first + hidden] = [IGNORE] * hidden
    return rows


def trained(name: str, *, callback: bool = True, broken: bool = False, **settings: Any) -> dict[str, Any]:
    """Train for two epochs; with `broken` the second process alone sees a NaN in its third step."""
    import torch

    told: list[str] = []
    seen = LorascopeCallback(tell=told.append) if callback else None
    trainer = trainer_of(
        BASE, FOLDER / name, uneven_rows(), seen, num_train_epochs=2, ddp_backend="gloo", **settings
    )
    passes = 0

    def break_the_third(module: Any, args: Any, output: Any) -> Any:
        nonlocal passes
        passes += module.training
        if module.training and passes == 3 and RANK == 1:
            output["loss"] = output["loss"] * math.nan
        return output

    if broken:
        trainer.model.register_forward_hook(break_the_third)
    trainer.train()
    log = FOLDER / name / "lorascope.jsonl"
    weights = torch.cat([one.detach().flatten() for one in trainer.model.parameters()])
    return {
        "told": told,
        "steps": [one for one in lines_of(log) if "learning_rate" in one] if log.is_file() else [],
        "logged": {one["step"]: float(one["loss"]) for one in trainer.state.log_history if "loss" in one},
        "last_step": trainer.state.global_step,
        "weights": float(weights.double().sum()),
        "judged": seen is not None and seen.report is not None,
    }


def refused() -> bool:
    """Whether a row that teaches nothing, which one of the processes collates, stops this one."""
    rows = uneven_rows()
    rows[5]["labels"] = [IGNORE] * len(rows[5]["labels"])
    callback = LorascopeCallback(tell=lambda line: None)
    try:
        trainer_of(BASE, FOLDER / "refused", rows, callback, ddp_backend="gloo").train()
    except DataError:
        return True
    return False


def main() -> None:
    """Try everything and write what this process saw."""
    found = {
        "with": trained("with"),
        "without": trained("without", callback=False),
        "by_mean": trained("by_mean", average_tokens_across_devices=False),
        "broken": trained("broken", broken=True, gradient_accumulation_steps=1, eval_strategy="no"),
        "targets": sum(sum(label != IGNORE for label in row["labels"][1:]) for row in uneven_rows()),
        "refused": refused(),
    }
    (FOLDER / f"rank-{RANK}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
