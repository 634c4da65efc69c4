"""Writes what every contender starts from: base model, token ids, adapters. Runs in lorascope's venv.

    python benchmarks/train/prepared.py FOLDER [--smoke]

The peers get plain files (safetensors, npz), so that they run without lorascope.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from work import ALPHA, CLASSIC_LENGTH, IGNORE, RANK, SEED, TARGETS, Tokens, save_rows

NUM_ROWS, NUM_LONG, MOST_SHORT = 1600, 160, 96
SMOKE_ROWS = 64
_DONE = "done.json"


def prepare(folder: Path, *, smoke: bool = False) -> None:
    """Write the work, unless it is there already.

    Args:
        folder: Made where it is missing.
        smoke: Synthetic rows, the starter's tokenizer and a model of two narrow layers: seconds, not minutes.
    """
    key = {"smoke": smoke, "rows": SMOKE_ROWS if smoke else NUM_ROWS, "version": 1}
    if (folder / _DONE).is_file() and json.loads((folder / _DONE).read_text()) == key:
        return
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, rows = _smoke_source() if smoke else _real_source()
    _write_base(folder, tokenizer, smoke=smoke)
    alpaca = _alpaca(folder, rows)
    save_rows(folder / "alpaca.npz", alpaca)
    save_rows(folder / "bare.npz", [_bare(tokenizer, row) for row in rows[: len(alpaca)]])
    by_answer = sorted(alpaca, key=lambda row: row.num_targets)
    save_rows(folder / "long.npz", by_answer[-min(NUM_LONG, len(alpaca) // 2) :])
    save_rows(folder / "short.npz", [row for row in alpaca if len(row.ids) <= MOST_SHORT])
    (folder / _DONE).write_text(json.dumps(key), encoding="utf-8")


def _real_source() -> tuple[Any, list[dict[str, str]]]:
    """GPT-2's tokenizer and Alpaca's rows, from the folder that LORASCOPE_DATA names."""
    from transformers import AutoTokenizer

    data = Path(os.environ.get("LORASCOPE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    if not (data / "alpaca_5000.json").is_file() or not (data / "gpt2-tokenizer").is_dir():
        raise SystemExit("set LORASCOPE_DATA to a folder with alpaca_5000.json and gpt2-tokenizer/")
    rows = json.loads((data / "alpaca_5000.json").read_text(encoding="utf-8"))
    return AutoTokenizer.from_pretrained(data / "gpt2-tokenizer"), rows[:NUM_ROWS]


def _smoke_source() -> tuple[Any, list[dict[str, str]]]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from alpaca_like import rows
    from transformers import AutoTokenizer

    from lorascope.starter import base_folder

    return AutoTokenizer.from_pretrained(base_folder()), list(rows(SMOKE_ROWS))


def _write_base(folder: Path, tokenizer: Any, *, smoke: bool) -> None:
    """GPT-2 small's shape under random weights, its own dropouts off, and two adapters for it.

    One adapter as PEFT makes it, whose B is zero; one whose B is drawn, or gradients of A would be zero and
    prove nothing.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from lorascope.lm.adapter import attach_adapter, save_adapter

    narrow = {"n_layer": 2, "n_embd": 64, "n_head": 4} if smoke else {}
    config = AutoConfig.for_model(
        "gpt2",
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        **narrow,
    )
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    adapted = attach_adapter(model, rank=RANK, alpha=ALPHA, dropout=0.0, target_modules=TARGETS, seed=SEED)
    save_adapter(adapted, tokenizer, folder / "adapter")
    generator = torch.Generator().manual_seed(SEED)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02, generator=generator)
    save_adapter(adapted, tokenizer, folder / "adapter-drawn")


def _alpaca(folder: Path, rows: Sequence[dict[str, str]]) -> list[Tokens]:
    """The rows as lorascope prepares them."""
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.dataset import load_examples
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    (folder / "rows.json").write_text(json.dumps(list(rows)), encoding="utf-8")
    settings = {"validation": 0, "max_length": CLASSIC_LENGTH, "near_duplicates": None}
    recipe = make_recipe(
        {"base": str(folder / "base"), "data": str(folder / "rows.json"), "prepare": settings}
    )
    run = RunFolder(folder / "run")
    prepare_run(run, recipe, overwrite=True)
    examples, _ = load_examples(run.dataset, "train")
    return [Tokens(one.input_ids, one.labels) for one in examples]


def _bare(tokenizer: Any, row: dict[str, str]) -> Tokens:
    """Instruction, input and answer with empty lines between them, and nothing around them."""
    prompt = "\n\n".join(part for part in (row["instruction"], row["input"]) if part) + "\n\n"
    asked = tokenizer(prompt).input_ids[: CLASSIC_LENGTH // 2]
    told = [*tokenizer(row["output"]).input_ids, tokenizer.eos_token_id][: CLASSIC_LENGTH // 2]
    return Tokens(np.array(asked + told), np.array([IGNORE] * len(asked) + told))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), smoke="--smoke" in sys.argv[2:])
