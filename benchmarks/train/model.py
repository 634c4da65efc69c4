"""The base model with its adapter, as every contender gets it: transformers and PEFT alone."""

from pathlib import Path
from typing import Any

from work import Job


def load_model(job: Job, *, adapter: str = "adapter", precision: str | None = None) -> Any:
    """Load base and adapter.

    Args:
        job: Names the folder, the dropout of the adapter, and the precision.
        adapter: Folder of the first weights: "adapter" (B is zero) or "adapter-drawn".
        precision: Of the base's weights; that of the job where not given. The adapter is float32.

    Returns:
        A PEFT model in training mode.
    """
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    folder = Path(job.folder)
    dtype = torch.bfloat16 if (precision or job.precision) == "bf16" else torch.float32
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=dtype)
    config = peft.PeftConfig.from_pretrained(folder / adapter)
    config.lora_dropout = job.dropout
    model = peft.PeftModel.from_pretrained(base, folder / adapter, config=config, is_trainable=True)
    drops = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    if drops - {0.0, job.dropout}:
        raise SystemExit(f"dropouts {sorted(drops)} where only {job.dropout} was asked for")
    return model.train()
