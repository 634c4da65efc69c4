"""Train a LoRA adapter on a tokenised dataset, as the classic GPT-2 experiment did.

    accelerate launch train_lora.py --hf_dataset_dir hf_dataset --model_name_or_path gpt2
        --output_dir outputs/lora_adapter --r 8 --alpha 16 --dropout 0.1 --num_train_epochs 3
        --per_device_train_batch_size 4 --fp16

What is not given is as in transformers' TrainingArguments. Runs under plain python and torchrun too.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from lorascope.check.stage import check_dataset
from lorascope.cli.display import TrainingObserver
from lorascope.errors import DataError, LorascopeError, explain
from lorascope.run.recipe import make_recipe
from lorascope.run.sections import Recipe
from lorascope.train.ranks import join_ranks
from lorascope.train.signals import Interrupted
from lorascope.train.without_run import log_folder, train_without_run


def main() -> int:
    """Check the dataset, train, and say on stderr where everything is."""
    args = parse_args()
    ranks = join_ranks()
    observer = TrainingObserver()
    try:
        recipe = recipe_of(args, processes=ranks.world)
        report = check_dataset(args.hf_dataset_dir, args.model_name_or_path)
        for check in report["checks"] if ranks.writes else ():
            if check["passed"] is False and check["name"] != "overlap":  # those rows are not trained on
                observer.note(sentence(check))
        if "labels" in report["failed"]:
            raise labels_refused(args.hf_dataset_dir)
        summary = train_without_run(
            recipe, args.output_dir, overwrite=args.overwrite, resume=args.resume, observer=observer
        )
    except LorascopeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"{stop}; run the same command with --resume to continue", file=sys.stderr)
        return stop.code
    if ranks.writes:
        observer.note(
            f"trained {summary['steps']:,} steps of {recipe.train.batch_size} examples; "
            f"{summary['trainable_parameters']:,} adapter weights in {summary['adapted_layers']} layers"
        )
        observer.note(f"adapter: {args.output_dir}   log and checkpoints: {log_folder(args.output_dir).path}")
    return 0


def recipe_of(args: argparse.Namespace, *, processes: int) -> Recipe:
    """Translate the flags; a step's batch is what all processes see between two updates."""
    batch_size = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    values = {
        "base": {"id": args.model_name_or_path, "dropout": "keep"},
        "data": str(args.hf_dataset_dir),
        "seed": args.seed,
        "lora": {
            "rank": args.r,
            "alpha": args.alpha,
            "dropout": args.dropout,
            "target_modules": args.target_modules,
        },
        "train": {
            "epochs": args.num_train_epochs,
            "batch_size": batch_size,
            "learning_rate": args.learning_rate,
            "schedule": args.lr_scheduler_type,
            "warmup": args.warmup_ratio,
            "weight_decay": args.weight_decay,
            "max_grad_norm": args.max_grad_norm or None,
            "precision": "fp16" if args.fp16 else "bf16" if args.bf16 else "float32",
        },
    }
    return make_recipe(values, where="command line")


def sentence(check: dict[str, Any]) -> str:
    """Name a check that failed, how many rows it concerns, and one of them."""
    row = check["worst"][0]
    counts = f"{check['num_failed']:,} of {check['num_rows']:,}"
    where = f"{row['split']} row {row['example_id']}: {row['what']}"
    return f'note: {counts} rows fail "{check["question"]}" ({where}); {check["fix"]}'


def labels_refused(dataset: Path) -> DataError:
    """Labels that are other tokens train another task than the text's, so there is no going on."""
    return DataError(
        explain(
            "labels are not their own tokens",
            where=str(dataset),
            why="the loss would look like any other, and be of another text",
            fix="do not shift labels: models shift them themselves",
        )
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--hf_dataset_dir", type=Path, required=True, help="tokenised DatasetDict: train, validation")
    add("--model_name_or_path", required=True, help="base model: Hub name or folder")
    add("--output_dir", type=Path, required=True, help="where the adapter goes")
    add("--r", type=int, default=8, help="rank")
    add("--alpha", type=float, default=16, help="the update is scaled by alpha / r")
    add("--dropout", type=float, default=0.1, help="on the adapter's input")
    add("--target_modules", nargs="+", default=["c_attn", "c_proj"], help="layers that get an adapter")
    add("--num_train_epochs", type=float, default=3.0, help="passes over the data")
    add("--per_device_train_batch_size", type=int, default=8, help="examples per process and pass")
    add("--gradient_accumulation_steps", type=int, default=1, help="passes per step")
    add("--learning_rate", type=float, default=5e-5, help="peak of AdamW's")
    add("--lr_scheduler_type", choices=["linear", "cosine", "constant"], default="linear", help="its shape")
    add("--warmup_ratio", type=float, default=0.0, help="share of steps spent rising to the peak")
    add("--weight_decay", type=float, default=0.0, help="AdamW's")
    add("--max_grad_norm", type=float, default=1.0, help="clip gradients to this length; 0 does not")
    add("--seed", type=int, default=42, help="of the initial weights, the order and the dropout")
    half = parser.add_mutually_exclusive_group()
    half.add_argument("--fp16", action="store_true", help="half precision where the device can train in it")
    half.add_argument("--bf16", action="store_true", help="bfloat16")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted training")
    parser.add_argument("--overwrite", action="store_true", help="discard an earlier training and adapter")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
