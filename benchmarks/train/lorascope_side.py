"""lorascope's own process: optimizer steps by the product's code, as shipped or as a rung of the ladder.

python benchmarks/train/lorascope_side.py JOB
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conversation import serve
from model import load_model
from work import MAX_NORM, RATE, Job, Tokens, load_rows, read_job, step_rows

WARM = 4
"""Examples that warm a process up: libraries are loaded, kernels chosen, the packed path settled."""


def trainee_of(job: Job, *, adapter: str = "adapter", clip: bool = True) -> Any:
    """What the product's training loop holds, at the settings it ships with."""
    import torch

    from lorascope.lm.adapter import trainable_parameters
    from lorascope.train.memory import ROW_TOKENS
    from lorascope.train.ranks import Ranks
    from lorascope.train.trainee import Trainee

    model = load_model(job, adapter=adapter)
    parameters = trainable_parameters(model)
    return Trainee(
        model=model,
        parameters=parameters,
        optimizer=torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        pad_id=int(model.config.eos_token_id),
        row_tokens=job.row_tokens or ROW_TOKENS["cpu"],
        max_grad_norm=MAX_NORM if clip else None,
        ranks=Ranks(rank=0, world=1),
    )


def as_examples(rows: Sequence[Tokens]) -> list[Any]:
    """The shared rows in the product's own type."""
    from lorascope.run.dataset import Example

    return [
        Example(example_id=str(place), input_ids=row.ids, labels=row.labels) for place, row in enumerate(rows)
    ]


def warm_up(trainee: Any, rows: Sequence[Tokens]) -> None:
    """A forward and backward pass without an update."""
    from lorascope.lm.passes import passes

    few = as_examples(rows[:WARM])
    for losses in passes(
        trainee.model,
        few,
        pad_id=trainee.pad_id,
        row_tokens=trainee.row_tokens,
        route=trainee.route,
        share=trainee.share,
    ):
        losses.nll_S.sum().backward()
    trainee.optimizer.zero_grad(set_to_none=True)


def counted(rows: Sequence[Tokens]) -> dict[str, int]:
    """The work of a step, over original examples."""
    return {
        "examples": len(rows),
        "tokens": sum(len(row.ids) for row in rows),
        "targets": sum(row.num_targets for row in rows),
    }


def do_step(trainee: Any, rows: Sequence[Tokens], number: int) -> float:
    """One optimizer step of the product; its loss."""
    from lorascope.train.step import optimizer_step

    return float(optimizer_step(trainee, as_examples(rows), rate=RATE, seed=number).loss)


def main(job: Job) -> None:
    """Serve steps of the kind the job names."""
    from ladder import climb
    from ladder_names import RUNGS

    rows = load_rows(Path(job.folder), job.data)
    drawn = job.kind == "gradients"
    trainee = trainee_of(job, adapter="adapter-drawn" if drawn else "adapter", clip=not drawn)
    run = climb(job.kind, trainee, do_step) if job.kind in RUNGS else do_step
    if run is do_step:
        warm_up(trainee, rows)

    def step(number: int) -> dict[str, Any]:
        chosen = step_rows(rows, number, job.batch)
        loss = run(trainee, chosen, number)
        if drawn:
            save_gradients(trainee.model, Path(job.folder) / "gradients-lorascope.safetensors")
        return {"loss": loss, **counted(chosen)}

    serve(step)


def save_gradients(model: Any, path: Path) -> None:
    """Write the gradient of each trained tensor under its name."""
    from safetensors.torch import save_file

    save_file({name: p.grad.contiguous() for name, p in model.named_parameters() if p.requires_grad}, path)


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
