"""The padded float32 reference, written plainly with transformers and PEFT: what every loss is held to.

    python benchmarks/train/reference.py JOB

Runs in the peers' venv: nothing of lorascope is imported.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conversation import serve
from model import load_model
from work import IGNORE, MAX_NORM, RATE, Job, Tokens, load_rows, read_job, step_rows

PASS = 4
"""Examples in a pass; the loss of a step is a sum over its targets, so it decides memory and nothing else."""


def padded(rows: Sequence[Tokens], pad: int, length: int | None = None) -> dict[str, Any]:
    """Pad examples on the right, to the longest or to a length.

    Returns:
        input_ids, labels and attention_mask, [B, T] int64.
    """
    import torch

    longest = length or max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    labels, mask = torch.full_like(ids, IGNORE), torch.zeros_like(ids)
    for line, row in enumerate(rows):
        own = len(row.ids)
        ids[line, :own] = torch.from_numpy(row.ids)
        labels[line, :own] = torch.from_numpy(row.labels)
        mask[line, :own] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def backward(model: Any, rows: Sequence[Tokens]) -> float:
    """Gradient of the mean loss over the targets of these rows; returns that loss."""
    import torch

    targets = sum(row.num_targets for row in rows)
    total = 0.0
    for start in range(0, len(rows), PASS):
        batch = padded(rows[start : start + PASS], int(model.config.eos_token_id))
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1),
            labels[:, 1:].flatten(),
            ignore_index=IGNORE,
            reduction="sum",
        )
        (loss / targets).backward()
        total += float(loss)
    return total / targets


def plain_step(model: Any, optimizer: Any, rows: Sequence[Tokens]) -> float:
    """One optimizer step; returns its loss."""
    import torch

    optimizer.zero_grad(set_to_none=True)
    loss = backward(model, rows)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.nn.utils.clip_grad_norm_(trained, MAX_NORM)
    optimizer.step()
    return loss


def main(job: Job) -> None:
    """Serve plain steps, or the gradient of one."""
    import torch
    from safetensors.torch import save_file

    rows = load_rows(Path(job.folder), job.data)
    drawn = job.kind == "reference-gradients"
    model = load_model(job, adapter="adapter-drawn" if drawn else "adapter", precision="float32")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=RATE, weight_decay=0.0)

    def step(number: int) -> dict[str, Any]:
        chosen = step_rows(rows, number, job.batch)
        if not drawn:
            return {"loss": plain_step(model, optimizer, chosen)}
        optimizer.zero_grad(set_to_none=True)
        loss = backward(model, chosen)
        gradients = {name: parameter.grad.contiguous() for name, parameter in trained.items()}
        save_file(gradients, Path(job.folder) / "gradients-reference.safetensors")
        return {"loss": loss}

    serve(step)


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
