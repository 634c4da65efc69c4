"""Training steps beside peers: the same examples in the same steps, from the same adapter.

    python benchmarks/train.py [--seconds 40] [--batches 32 16 4] [--out FILE]

GPT-2 small's shape with random weights, real Alpaca rows and GPT-2's tokenizer from LORASCOPE_DATA. Every run is
a process of its own; each measures steps for so many seconds after one that warms up. Losses of every step are
kept, so that speed that changes the numbers would show.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
NUM_ROWS, SEED, RATE, RANK, ALPHA = 1600, 0, 2e-4, 8, 16
TARGETS = ["c_attn", "c_proj"]
CLASSIC_LENGTH = 512
LEAST_STEPS = 2
MICRO = 4
"""Examples in a pass of the peers, whose padding and memory grow with it: at 32 in one pass TRL reached 0.23
examples/s and 18.9 GB where 4 times 8 reach more (2 cores without AVX512)."""

CONTENDERS: dict[str, str] = {
    "lorascope": "lorascope, as shipped",
    "lorascope-unshared": "lorascope, without shared prefixes",
    "lorascope-padded": "lorascope, its plain path (padded)",
    "trl": "TRL SFTTrainer, padded",
    "trl-length": "TRL SFTTrainer, grouped by length (its own order)",
    "trl-free": "TRL SFTTrainer, padding-free",
    "trainer": "transformers Trainer + PEFT, padded to the longest",
    "classic": "transformers Trainer + PEFT, padded to 512",
    "limit": "the products alone, at the rates measured for their shapes",
}


def prepared(folder: Path) -> None:
    """Write the base model, the tokenised rows and the first adapter that every contender starts from."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from lorascope.lm.adapter import attach_adapter, save_adapter
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    data = Path(os.environ.get("LORASCOPE_DATA", HERE.parents[1] / ".." / "shared" / "data"))
    tokenizer = AutoTokenizer.from_pretrained(data / "gpt2-tokenizer")
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2"), dtype=torch.float32)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    rows = json.loads((data / "alpaca_5000.json").read_text(encoding="utf-8"))[:NUM_ROWS]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    prepare = {"validation": 0, "max_length": CLASSIC_LENGTH, "near_duplicates": None}
    recipe = make_recipe(
        {"base": str(folder / "base"), "data": str(folder / "rows.json"), "prepare": prepare}
    )
    prepare_run(RunFolder(folder / "run"), recipe)
    adapted = attach_adapter(model, rank=RANK, alpha=ALPHA, dropout=0.0, target_modules=TARGETS, seed=SEED)
    save_adapter(adapted, tokenizer, folder / "adapter")


def examples_of(folder: Path) -> list[Any]:
    """The rows in the order of all contenders' steps."""
    import numpy as np

    from lorascope.run.dataset import load_examples

    rows, _ = load_examples(folder / "run" / "prepare" / "dataset", "train")
    return [rows[place] for place in np.random.default_rng(SEED).permutation(len(rows))]


def model_of(folder: Path, precision: str, dropout: float) -> Any:
    """The base with the first adapter, its own dropouts off."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    from lorascope.lm.dropout import set_dropout

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=dtype)
    set_dropout(base, 0.0)
    model = peft.PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True)
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            for name in module.lora_dropout:
                module.lora_dropout[name] = torch.nn.Dropout(dropout) if dropout else torch.nn.Identity()
    return model


class Watch:
    """Notes when steps end, and says when it has seen enough."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.tokens: list[int] = []

    def ended(self) -> bool:
        self.ends.append(time.perf_counter())
        return len(self.ends) > LEAST_STEPS and self.ends[-1] - self.ends[0] >= self.seconds

    def result(self, batch: int, examples: list[Any]) -> dict[str, Any]:
        took = [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]
        steps = len(took)
        targets = sum(one.num_target_tokens for one in examples[batch : batch * (steps + 1)])
        return {
            "steps": steps,
            "seconds": round(sum(took), 2),
            "examples_per_s": round(batch * steps / sum(took), 3),
            "targets_per_s": round(targets / sum(took), 1),
            "losses": self.losses,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


def run_lorascope(folder: Path, kind: str, batch: int, precision: str, dropout: float, watch: Watch) -> None:
    import torch

    from lorascope.lm.adapter import trainable_parameters
    from lorascope.train.ranks import Ranks
    from lorascope.train.step import Trainee, optimizer_step

    model = model_of(folder, precision, dropout).train()
    parameters = trainable_parameters(model)
    trainee = Trainee(
        model=model,
        parameters=parameters,
        optimizer=torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        pad_id=50256,
        row_tokens=4096,
        max_grad_norm=1.0,
        ranks=Ranks(rank=0, world=1),
        route="padded" if kind == "lorascope-padded" else "auto",
        share=kind != "lorascope-unshared",
    )
    rows = examples_of(folder)
    for step in range(len(rows) // batch):
        result = optimizer_step(trainee, rows[step * batch : (step + 1) * batch], rate=RATE, seed=step)
        watch.losses.append(result.loss)
        if watch.ended():
            return


def run_trainer(folder: Path, kind: str, batch: int, precision: str, dropout: float, watch: Watch) -> None:
    """transformers' Trainer and TRL's SFTTrainer on the same tokens, in order."""
    import datasets
    import torch
    from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    rows = examples_of(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    tokenizer.pad_token = tokenizer.eos_token
    made = datasets.Dataset.from_list(
        [{"input_ids": one.input_ids.tolist(), "labels": one.labels.tolist()} for one in rows]
    )

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            control.should_training_stop = watch.ended()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if logs and "loss" in logs:
                watch.losses.append(logs["loss"])

    common = {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": min(batch, MICRO),
        "gradient_accumulation_steps": max(1, batch // MICRO),
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": precision == "bf16",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length" if kind == "trl-length" else "sequential",
    }
    model = model_of(folder, "float32" if kind in ("trainer", "classic") else precision, dropout)
    if kind.startswith("trl"):
        config = SFTConfig(**common, max_length=None, padding_free=kind == "trl-free", packing=False)
        trainer: Any = SFTTrainer(
            model=model, args=config, train_dataset=made, processing_class=tokenizer, callbacks=[Stop()]
        )
    else:
        length = CLASSIC_LENGTH if kind == "classic" else None

        def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            longest = length or max(len(one["input_ids"]) for one in batch)
            out: dict[str, list[Any]] = {"input_ids": [], "labels": [], "attention_mask": []}
            for one in batch:
                own = len(one["input_ids"])
                out["input_ids"].append(one["input_ids"] + [tokenizer.pad_token_id] * (longest - own))
                out["labels"].append(one["labels"] + [-100] * (longest - own))
                out["attention_mask"].append([1] * own + [0] * (longest - own))
            return {name: torch.tensor(value) for name, value in out.items()}

        trainer = Trainer(
            model=model,
            args=TrainingArguments(**common),
            train_dataset=made,
            data_collator=collate,
            callbacks=[Stop()],
        )
    trainer.train()


def gemm_rate(rows: int, inner: int, columns: int, precision: str) -> float:
    """Measured rate of one product, FLOP per second."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)
    a @ b
    start, times = time.perf_counter(), 0
    while time.perf_counter() - start < 0.5:
        a @ b
        times += 1
    return 2 * rows * inner * columns * times / (time.perf_counter() - start)


def limit(folder: Path, batch: int, precision: str) -> dict[str, Any]:
    """The fewest products of the first steps over the rates measured for their shapes: what cannot be beaten.

    Frozen matrices are multiplied once forward and once for the gradient of their input; the head for targets
    alone; adapters, attention, norms and activations are left out, so the true limit is lower.
    """
    from lorascope.engine.packing import Text, pack_rows, tokens_in

    rows, steps = examples_of(folder), 3
    seconds = 0.0
    for step in range(1, steps + 1):
        chosen = rows[step * batch : (step + 1) * batch]
        texts = [Text(one.input_ids, one.labels) for one in chosen]
        tokens = tokens_in(pack_rows(texts, row_tokens=2**31, share=True))
        targets = sum(one.num_target_tokens for one in chosen)
        for inner, columns in ((768, 2304), (768, 768), (768, 3072), (3072, 768)):
            for a, b in ((inner, columns), (columns, inner)):
                seconds += 12 * 2 * tokens * a * b / gemm_rate(tokens, a, b, precision)
        for a, b in ((768, 1024), (1024, 768)):
            seconds += 2 * targets * 768 * 50257 / gemm_rate(targets, a, b, precision)
    return {"examples_per_s": round(steps * batch / seconds, 3)}


def run_one(folder: Path, kind: str, batch: int, precision: str, dropout: float, seconds: float) -> None:
    if kind == "limit":
        print(json.dumps({"kind": kind, **limit(folder, batch, precision)}))
        return
    watch = Watch(seconds)
    run: Callable[..., None] = run_lorascope if kind.startswith("lorascope") else run_trainer
    run(folder, kind, batch, precision, dropout, watch)
    print(json.dumps({"kind": kind, **watch.result(batch, examples_of(folder))}))


def measured(folder: Path, kind: str, batch: int, precision: str, dropout: float, seconds: float) -> Any:
    """One contender in a process of its own."""
    arguments = [str(folder), kind, str(batch), precision, str(dropout), str(seconds)]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE), "--run", *arguments],
        env=environ,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{kind} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 16, 4])
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.0])
    parser.add_argument("--kinds", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        folder, kind, batch, precision, dropout, seconds = asked.run
        run_one(Path(folder), kind, int(batch), precision, float(dropout), float(seconds))
        return
    results = []
    with tempfile.TemporaryDirectory() as name:
        prepared(Path(name))
        for precision in asked.precisions:
            for dropout in asked.dropouts:
                for batch in asked.batches:
                    for turn in range(asked.rounds):
                        kinds = asked.kinds if turn % 2 == 0 else asked.kinds[::-1]
                        for kind in kinds:
                            one = measured(Path(name), kind, batch, precision, dropout, asked.seconds)
                            one |= {"batch": batch, "precision": precision, "dropout": dropout}
                            results.append(one)
                            print(told(one), flush=True)
    if asked.out:
        asked.out.write_text(json.dumps({"results": results, "machine": machine()}, indent=1))


def told(one: dict[str, Any]) -> str:
    """A result on one line."""
    more = f", {one['peak_mb']:,} MB, {one['steps']} steps" if "steps" in one else ""
    return (
        f"{one['kind']:20} batch {one['batch']:3} {one['precision']} dropout {one['dropout']}: "
        f"{one['examples_per_s']:.2f} examples/s{more}"
    )


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    names = ("torch", "transformers", "peft", "trl", "accelerate")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


if __name__ == "__main__":
    main()
