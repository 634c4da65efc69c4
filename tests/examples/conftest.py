import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "alpaca_gpt2"
END = 0


@dataclass(frozen=True)
class Done:
    """What a script left: exit status, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a script's main() with a command line: script("train_lora", "--r", 4, ...)."""
    import torch

    torch.set_num_threads(1)

    def run(name: str, *arguments: Any) -> Done:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        capsys.readouterr()
        code = module.main()
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


def classic_row(
    tokenizer: Any, instruction: str, answer: str, *, length: int, label_end: bool
) -> dict[str, Any]:
    """A row as classic scripts make it: prompt, answer, end-of-text, padded with it, its labels by its id."""
    prompt = f"Below is an instruction.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    start = tokenizer(prompt)["input_ids"]
    ids = [*start, *tokenizer(answer)["input_ids"], END][:length]
    labels = [-100] * len(start) + ids[len(start) :]
    if not label_end:
        labels = [label if label != END else -100 for label in labels]
    missing = length - len(ids)
    return {
        "input_ids": ids + [END] * missing,
        "attention_mask": [1] * len(ids) + [0] * missing,
        "labels": labels + [-100] * missing,
    }


@pytest.fixture
def hf_dataset(tmp_path: Path, alpaca_tokenizer: Any) -> Callable[..., Path]:
    """A dataset made elsewhere: hf_dataset(train=range(12), validation=range(12, 16), label_end=False)."""
    import datasets

    def make(*, label_end: bool = False, length: int = 256, name: str = "hf_dataset", **splits: Any) -> Path:
        def rows(numbers: Any) -> list[dict[str, Any]]:
            return [
                classic_row(
                    alpaca_tokenizer,
                    f"Say {n}.",
                    f"The number is {n}" + f", {n}" * (n % 4) + ".",
                    length=length,
                    label_end=label_end,
                )
                for n in numbers
            ]

        made = {split: datasets.Dataset.from_list(rows(numbers)) for split, numbers in splits.items()}
        datasets.disable_progress_bars()
        datasets.DatasetDict(made).save_to_disk(str(tmp_path / name))
        return tmp_path / name

    return make


@pytest.fixture
def train_lora(script: Any, alpaca_base: Path, tmp_path: Path) -> Callable[..., Done]:
    """Run train_lora.py on a dataset with the classic flags, and others on top."""

    def run(dataset: Path, *more: Any) -> Done:
        return script(  # type: ignore[no-any-return]
            "train_lora",
            *("--hf_dataset_dir", dataset, "--model_name_or_path", alpaca_base),
            *("--output_dir", tmp_path / "outputs" / "lora_adapter", "--r", 8, "--alpha", 16),
            *("--dropout", 0.1, "--num_train_epochs", 3, "--per_device_train_batch_size", 4, *more),
        )

    return run


@pytest.fixture
def eval_adapter(script: Any, alpaca_base: Path, tmp_path: Path) -> Callable[..., Done]:
    """Run eval_adapter.py on a dataset with the classic flags, and others on top."""

    def run(dataset: Path, *more: Any, adapter: Path | None = None) -> Done:
        return script(  # type: ignore[no-any-return]
            "eval_adapter",
            *("--base_model", alpaca_base, "--dataset_path", dataset),
            *("--adapter_path", adapter or tmp_path / "outputs" / "lora_adapter"),
            *("--split", "validation", "--batch_size", 8, "--max_length", 512, "--device", "cpu", *more),
        )

    return run
