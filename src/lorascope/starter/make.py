"""Rebuild the starter: `python -m lorascope.starter.make` writes base/, data/ and base_training.json.

`--documents 3000 --steps 20 --out /tmp/starter` is a quick try; `--only data` rewrites the dataset and the
unrelated text alone.
"""

import argparse
import copy
import json
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.starter.documents import marked_documents, unseen_passages
from lorascope.starter.lexicon import MARK
from lorascope.starter.tasks import dataset

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
NUM_HELD_OUT = 200
NUM_UNRELATED = 40  # passages; twice what an interval needs
SAVE_STEPS = 200  # a stopped training leaves a model that loads


def main(arguments: list[str] | None = None) -> None:
    """Parse the flags, write the dataset, and unless told otherwise train the base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="World, documents, dataset and weights.")
    parser.add_argument("--documents", type=int, default=60_000, help="Base documents to generate.")
    parser.add_argument("--steps", type=int, default=None, help="Optimizer steps; default: the plan's.")
    parser.add_argument(
        "--out", type=Path, default=HERE, help="Folder that receives base/, data/ and the record."
    )
    parser.add_argument("--only", choices=("data", "base"), default=None, help="Make one part alone.")
    parser.add_argument("--resume", action="store_true", help="Go on from progress.pt in the same folder.")
    chosen = parser.parse_args(arguments)
    if chosen.only != "base":
        write_dataset(chosen.out / "data" / "alpaca_starter.json", chosen.seed)
        write_unrelated(chosen.out / "data" / "unrelated.txt", chosen.seed)
    if chosen.only != "data":
        make_base(
            chosen.out,
            seed=chosen.seed,
            num_documents=chosen.documents,
            num_steps=chosen.steps,
            resume=chosen.resume,
        )


def write_dataset(path: Path, seed: int) -> None:
    """Write the dataset, one row a line, so that a change reads as a diff."""
    rows = dataset(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="ascii")
    print(f"{len(rows)} rows in {path}", flush=True)


def write_unrelated(path: Path, seed: int) -> None:
    """Write held-out text of the world, with blank lines between the passages, for `compare.unrelated`."""
    passages = unseen_passages(seed, NUM_UNRELATED)
    path.write_text("\n\n".join(passages) + "\n", encoding="ascii")
    print(f"{len(passages)} passages in {path}", flush=True)


def make_base(
    out: Path, *, seed: int, num_documents: int, num_steps: int | None, resume: bool = False
) -> None:
    """Generate the documents, train tokenizer and model, save in bfloat16, measure, and write the record."""
    from lorascope.starter import pretrain
    from lorascope.starter.tokenizer import train_tokenizer

    plan = pretrain.Plan(seed=seed)
    if num_steps is not None:
        plan = replace(plan, num_steps=num_steps, decay=((0, 1.0), (num_steps, 0.0)))
    texts = list(marked_documents(seed, num_documents + NUM_HELD_OUT))
    texts, unseen = texts[:num_documents], [text.replace(MARK, "") for text in texts[num_documents:]]
    tokenizer = train_tokenizer(
        (text.replace(MARK, "") for text in texts), vocab_size=4096, max_length=plan.max_length
    )
    rows = pretrain.packed_rows(texts, tokenizer, plan.row_tokens, plan.plain_weight)
    held_out = pretrain.packed_rows(unseen, tokenizer, plan.row_tokens)
    model = pretrain.new_model(plan, tokenizer)
    progress = pretrain.Progress(model, pretrain.optimizers(model, plan), [])
    saved = out / "progress.pt"
    if resume:
        progress.load(saved)
    print(
        f"{num_documents} documents, {len(rows) * plan.row_tokens} tokens, vocabulary {len(tokenizer)}",
        flush=True,
    )

    def on_entry(entry: dict[str, float]) -> None:
        print(" ".join(f"{key}={value}" for key, value in entry.items()), flush=True)
        if entry["step"] % SAVE_STEPS == 0:
            save_base(model, tokenizer, out / "base")
            progress.save(saved)

    pretrain.pretrain(progress, rows, held_out, plan, on_entry)
    save_base(model, tokenizer, out / "base")
    record = {
        "command": "python -m lorascope.starter.make",
        "num_documents": num_documents,
        "num_characters": sum(map(len, texts)),
        "num_tokens": len(rows) * plan.row_tokens,
        "vocabulary": len(tokenizer),
        "num_parameters": model.num_parameters(),
        "plan": asdict(plan),
        "training_s": progress.curve[-1]["seconds"],
        "curve": progress.curve,
        **measured(out / "base", unseen, seed),
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    (out / "base_training.json").write_text(text + "\n", encoding="ascii")
    saved.unlink(missing_ok=True)


def measured(folder: Path, unseen: list[str], seed: int) -> dict[str, object]:
    """What ships is measured: the bfloat16 weights of `folder`, read back and computed in float32."""
    import torch
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    from lorascope.starter import fluency, pretrain

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    model.train(False)
    rows = pretrain.packed_rows(unseen, tokenizer, pretrain.Plan().row_tokens)
    sampled = fluency.sampled_continuations(model, tokenizer, unseen[:50], seed=seed)
    names = ("torch", "transformers", "tokenizers")
    found = {
        "held_out_loss_as_shipped": round(pretrain.held_out_loss(model, rows), 4),
        "fluency": fluency.fluency(sampled),
        "sampled": [tokenizer.decode(ids) for ids in sampled[:5]],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
        "num_threads": torch.get_num_threads(),
    }
    print(found["held_out_loss_as_shipped"], found["fluency"], flush=True)
    return found


def save_base(model: "GPT2LMHeadModel", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Save a bfloat16 copy and the tokenizer, readable by everybody who may read the package."""
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
