"""Measure a LoRA adapter on one split of a tokenised dataset. Prints one JSON object on stdout.

    python eval_adapter.py --base_model gpt2 --adapter_path outputs/lora_adapter --dataset_path hf_dataset
        --split validation --batch_size 8 --max_length 512 --device cpu

The loss is the sum of negative log-likelihoods over all target tokens divided by their number, in float32.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from lorascope.check.prompts import held_out_is_new
from lorascope.check.stage import examine
from lorascope.errors import LorascopeError, UndefinedMetric
from lorascope.lm.adapter import changes_nothing
from lorascope.lm.batches import cut_examples
from lorascope.lm.load import context_length
from lorascope.lm.pair import Pair, load_pair
from lorascope.lm.score import score_examples
from lorascope.metrics.likelihood import mean_nll, perplexity
from lorascope.run.dataset import Example, SplitNotes, examples_of, load_examples, load_splits


def main() -> int:
    """Score the split and print the numbers; everything else goes to stderr."""
    args = parse_args()
    if os.environ.get("RANK", "0") != "0":
        return 0  # under a launcher the first process does all the work
    try:
        examples, read = load_examples(args.dataset_path, args.split)
        pair = load_pair(args.base_model, args.adapter_path, device=args.device)
        note_faults(args, examples, read, pair)
        longest = min(args.max_length, context_length(pair.model.config) or args.max_length)
        examples, num_cut = cut_examples(examples, longest)
        if num_cut:
            note(f"{num_cut:,} of {len(examples):,} rows are longer than {longest:,} tokens and were cut")
        scores = score_examples(pair.model, examples, pad_id=pair.pad_id, batch_size=args.batch_size)
    except LorascopeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    loss = defined("eval_loss", lambda: mean_nll(scores.nll_sum_N, scores.num_tokens_N))
    result = {
        "eval_loss": loss,
        "perplexity": None if loss is None else defined("perplexity", lambda: perplexity(loss)),
        "num_batches": math.ceil(len(examples) / args.batch_size),
        "supervised_tokens": int(scores.num_tokens_N.sum()),
        "split": args.split,
        "batch_size": args.batch_size,
        "max_length": args.max_length,
    }
    print(json.dumps(result, allow_nan=False))
    return 0


def note(text: str) -> None:
    """Say one thing on stderr."""
    print(f"note: {text}", file=sys.stderr)


def note_faults(args: argparse.Namespace, examples: list[Example], read: SplitNotes, pair: Pair) -> None:
    """Name what makes the numbers mean something else than one thinks."""
    split = args.split
    report = examine(
        {split: examples}, {split: read}, pair.tokenizer, None, {}, (), cut_length=read.stored_length
    )
    faults = [check for check in report["checks"] if check["passed"] is False]
    train = [] if split == "train" else load_splits(args.dataset_path).get("train", [])
    if len(train):
        overlap = held_out_is_new({"train": examples_of(train, "train")[0], split: examples}).as_dict()
        faults += [overlap] if overlap["num_failed"] else []
    for check in faults:
        row = check["worst"][0]
        counts = f"{check['num_failed']:,} of {check['num_rows']:,}"
        where = f"row {row['example_id']}: {row['what']}"
        note(f'{counts} rows fail "{check["question"]}" ({where}); {check["fix"]}')
    trained_on = pair.model.peft_config["default"].base_model_name_or_path or args.base_model
    if Path(trained_on).name != Path(args.base_model).name:
        note(f"the adapter was trained on {trained_on}; it is measured on {args.base_model}")
    if changes_nothing(pair.model):
        note("the adapter changes nothing: all of its B matrices are zero")


def defined(name: str, compute: Callable[[], float]) -> float | None:
    """A number, or None with the reason on stderr."""
    try:
        return compute()
    except UndefinedMetric as error:
        note(f"{name} has no value: {error.message}")
        return None


def positive(text: str) -> int:
    """A whole number above 0."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return int(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--base_model", required=True, help="Hub name or folder")
    add("--adapter_path", required=True, help="folder or Hub name of a PEFT adapter")
    add("--dataset_path", type=Path, required=True, help="tokenised DatasetDict")
    add("--split", default="validation", help="its split")
    add("--batch_size", type=positive, default=8, help="examples per forward pass; changes no number")
    add("--max_length", type=positive, default=512, help="longer rows are cut to this many tokens")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
