"""Fixtures that more than one test folder uses: two tiny models, rows on disk, prepared runs, the real
data.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before any test imports transformers or datasets
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:  # workers that each take all cores mostly wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

END = "<|endoftext|>"
WHOLE_RUNS = {
    "finished_run",
    "make_run",
    "prepared_run",
    "trained_run",
    "ready_run",
    "straight",
    "run_with_adapter",
}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TEXTS = [
    "Below is an instruction that describes a task. Write a response that completes the request.",
    "### Instruction:\nList three numbers.\n\n### Response:\n",
    "The sea is wide, and the wind is its song.",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who asks for a run that stages have made is no unit test, and says so by asking."""
    for item in items:
        if WHOLE_RUNS & set(getattr(item, "fixturenames", ())):
            item.add_marker("end_to_end")


def save_byte_tokenizer(folder: Path, *, chat: bool) -> int:
    """Save a byte-level tokenizer with about sixty merges; return its vocabulary size.

    The chat one writes ChatML and, as Llama's does, puts a beginning-of-text token before plain text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", END, "<|im_start|>", "<|im_end|>"] if chat else [END]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if chat:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, **({"bos_token": "<s>"} if chat else {})
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return len(fast)


@pytest.fixture(scope="session")
def alpaca_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer GPT-2 with random weights, 512 tokens of context and no chat template; copy it to change
    it.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    folder = tmp_path_factory.mktemp("models") / "tiny-gpt2"
    vocab_size = save_byte_tokenizer(folder, chat=False)
    torch.manual_seed(0)
    logging.disable_progress_bar()
    config = GPT2Config(
        n_layer=2, n_embd=32, n_head=2, n_positions=512, vocab_size=vocab_size, eos_token_id=0, bos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer Llama with random weights and a ChatML template; copy it to change it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    vocab_size = save_byte_tokenizer(folder, chat=True)
    torch.manual_seed(0)
    logging.disable_progress_bar()
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=vocab_size,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def alpaca_tokenizer(alpaca_base: Path) -> Any:
    from lorascope.lm.load import load_tokenizer

    return load_tokenizer(str(alpaca_base))


@pytest.fixture(scope="session")
def chat_tokenizer(chat_base: Path) -> Any:
    from lorascope.lm.load import load_tokenizer

    return load_tokenizer(str(chat_base))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data; the test is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LORASCOPE_DATA", beside))
    if not (folder / "datasets").is_dir():
        pytest.skip("no real data: set LORASCOPE_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def real_gpt2(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's real tokenizer beside GPT-2 small's config; no weights."""
    import shutil

    from transformers import GPT2Config

    folder = tmp_path_factory.mktemp("models") / "gpt2"
    shutil.copytree(data_folder / "gpt2-tokenizer", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    GPT2Config().save_pretrained(folder)
    return folder


@pytest.fixture
def alpaca_rows() -> Callable[..., list[dict[str, str]]]:
    """Rows with prompts and answers of their own: alpaca_rows(20, output="n{}")."""

    def make(count: int, *, output: str = "The number is {}.") -> list[dict[str, str]]:
        return [
            {"instruction": f"Say number {number}.", "input": "", "output": output.format(number)}
            for number in range(count)
        ]

    return make


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows below tmp_path as a JSON array, or as JSON Lines by the file's name; return the path."""

    def write(rows: Sequence[Any], name: str = "rows.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if path.suffix == ".jsonl" else "[" + ",\n".join(lines) + "]")
        return path

    return write


@pytest.fixture
def make_run(tmp_path: Path, write_rows: Callable[..., Path]) -> Callable[..., Any]:
    """Prepare rows (or a file) into a new run folder: make_run(rows, base, "prepare.max_length=64",
    name="run").
    """

    def make(data: Sequence[Any] | Path, base: Path, *settings: str, name: str = "run") -> Any:
        from lorascope.prepare.stage import prepare_run
        from lorascope.run.folder import RunFolder
        from lorascope.run.recipe import make_recipe, with_overrides

        path = data if isinstance(data, Path) else write_rows(data, f"{name}.json")
        run = RunFolder(tmp_path / "runs" / name)
        values = with_overrides({"base": str(base), "data": str(path)}, settings)
        prepare_run(run, make_recipe(values))
        return run

    return make


@pytest.fixture(scope="session")
def finished_run(alpaca_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that has been through every stage, on the tiny GPT-2; read it, or copy it to change it."""
    from lorascope.pipeline import run_all
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    folder = tmp_path_factory.mktemp("finished")
    rows = [
        {
            "instruction": f"Say number {n}.",
            "input": "",
            "output": f"The number is {n}.",
            "family": f"f{n % 3}",
        }
        for n in range(60)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    recipe = make_recipe(
        {
            "base": str(alpaca_base),
            "data": str(folder / "rows.json"),
            "prepare": {"validation": 24},
            "lora": {"rank": 4},
            "train": {"epochs": 2, "batch_size": 6, "learning_rate": 1e-2},
            "eval": {"generate": 4, "max_new_tokens": 8, "group_by": "family"},
            "compare": {"prompts": 2, "examples": 8, "max_new_tokens": 8},
        }
    )
    run = RunFolder(folder / "runs" / "finished")
    run_all(run, recipe)
    return run
