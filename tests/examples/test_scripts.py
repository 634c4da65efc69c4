"""The two classic scripts: their flags, their output, their refusals, and the real shape of GPT-2 small."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.end_to_end

SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "alpaca_gpt2"
KEYS = ["eval_loss", "perplexity", "num_batches", "supervised_tokens", "split", "batch_size", "max_length"]


def steps_of(outputs: Path) -> list[dict[str, Any]]:
    lines = (outputs / "lora_adapter-run" / "train" / "steps.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_output_is_one_json_object_with_the_known_keys(
    hf_dataset: Any, train_lora: Any, eval_adapter: Any
) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    assert train_lora(dataset).out == ""
    done = eval_adapter(dataset, "--batch_size", 2)
    result = json.loads(done.out)
    assert list(result) == KEYS
    assert done.out.count("\n") == 1
    known = {key: result[key] for key in ("num_batches", "split", "batch_size", "max_length")}
    assert known == {"num_batches": 3, "split": "validation", "batch_size": 2, "max_length": 512}


def test_flags_that_are_not_given_are_those_of_training_arguments(
    hf_dataset: Any, train_lora: Any, tmp_path: Path
) -> None:
    train_lora(hf_dataset(train=range(12), validation=range(12, 16)))
    steps = steps_of(tmp_path / "outputs")
    # 12 rows in batches of 4, 3 epochs: 9 steps, from 5e-5 by ninths to 0.
    assert [step["num_examples"] for step in steps] == [4] * 9
    assert [step["learning_rate"] for step in steps] == pytest.approx([5e-5 * (1 - k / 9) for k in range(9)])
    recipe = json.loads((tmp_path / "outputs/lora_adapter-run/config.json").read_text())
    assert (recipe["train"]["weight_decay"], recipe["train"]["max_grad_norm"], recipe["seed"]) == (
        0.0,
        1.0,
        42,
    )
    assert recipe["base"]["dropout"] == "keep"
    config = json.loads((tmp_path / "outputs/lora_adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (8, 16, 0.1)
    assert sorted(config["target_modules"]) == ["c_attn", "c_proj"]


def test_other_values_are_taken(hf_dataset: Any, script: Any, chat_base: Path, tmp_path: Path) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 16))
    done = script(
        "train_lora",
        *("--hf_dataset_dir", dataset, "--model_name_or_path", chat_base, "--output_dir", tmp_path / "a"),
        *("--r", 16, "--alpha", 32, "--dropout", 0, "--target_modules", "q_proj", "v_proj"),
        *("--num_train_epochs", 0.5, "--per_device_train_batch_size", 3, "--gradient_accumulation_steps", 2),
        *("--learning_rate", 1e-3, "--lr_scheduler_type", "cosine", "--max_grad_norm", 0, "--seed", 7),
    )
    assert done.code == 0, done.err
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], sorted(config["target_modules"])) == (
        16,
        32,
        ["q_proj", "v_proj"],
    )
    steps = (tmp_path / "a-run" / "train" / "steps.jsonl").read_text().splitlines()
    assert [json.loads(line)["num_examples"] for line in steps] == [6]  # half of 2 steps of 3 x 2


def test_the_adapter_is_plain_and_gives_the_printed_loss_under_peft_alone(
    hf_dataset: Any, train_lora: Any, eval_adapter: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    import datasets
    import peft
    from transformers import AutoModelForCausalLM

    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    train_lora(dataset, "--learning_rate", 2e-2)
    adapter = tmp_path / "outputs" / "lora_adapter"
    assert sorted(path.name for path in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        model = peft.PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(alpaca_base), adapter
        ).eval()
    rows = datasets.load_from_disk(str(dataset))["validation"].with_format("torch")[:]
    with torch.no_grad():  # one padded batch, as stored
        logits = model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), rows["labels"][:, 1:].flatten())
    assert json.loads(eval_adapter(dataset).out)["eval_loss"] == pytest.approx(float(loss), rel=1e-5)


def test_fp16_off_a_gpu_says_what_is_used_instead(hf_dataset: Any, train_lora: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, so fp16 can be done")
    done = train_lora(hf_dataset(train=range(8), validation=range(8, 10)), "--fp16")
    assert done.code == 0
    assert "fp16 was asked for, but it trains on CUDA only and this is cpu" in done.err


def test_a_dataset_of_lorascope_prepare_is_accepted_without_a_word(
    make_run: Any, alpaca_rows: Any, alpaca_base: Path, train_lora: Any, eval_adapter: Any
) -> None:
    run = make_run(alpaca_rows(24), alpaca_base, "prepare.validation=6")
    trained, measured = train_lora(run.dataset), eval_adapter(run.dataset)
    assert (trained.code, measured.code) == (0, 0)
    assert "note:" not in trained.err + measured.err
    report = json.loads(run.prepare_report.read_text())
    tokens = report["splits"]["validation"]["target_tokens"]
    assert json.loads(measured.out)["supervised_tokens"] == tokens


def test_rows_longer_than_max_length_are_cut_and_counted(
    hf_dataset: Any, train_lora: Any, eval_adapter: Any
) -> None:
    import datasets

    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    train_lora(dataset)
    lengths = [sum(row["attention_mask"]) for row in datasets.load_from_disk(str(dataset))["validation"]]
    limit = max(lengths) - 3  # reaches the last answers of the longest rows, and no other row
    whole, cut, short = (eval_adapter(dataset, "--max_length", length) for length in (512, limit, 4))
    tokens = [json.loads(done.out)["supervised_tokens"] for done in (whole, cut, short)]
    lost = sum(length - 1 - limit for length in lengths if length > limit)  # the last token is no target
    assert tokens == [tokens[0], tokens[0] - lost, 0]
    num_cut = sum(length > limit for length in lengths)
    assert f"{num_cut} of 5 rows are longer than {limit} tokens and were cut" in cut.err
    assert "cut" not in whole.err
    # Nothing is left to score: null with a reason, and still a result.
    assert (json.loads(short.out)["eval_loss"], json.loads(short.out)["perplexity"]) == (None, None)
    assert "eval_loss has no value: no target token in 5 examples" in short.err


def test_rows_beyond_the_context_are_cut_for_training_and_counted(hf_dataset: Any, train_lora: Any) -> None:
    import datasets

    dataset = hf_dataset(train=range(8), validation=range(8, 10))  # rows of 256 tokens: three make 768
    stretched = datasets.load_from_disk(str(dataset)).map(
        lambda row: {key: value * 3 for key, value in row.items()}, load_from_cache_file=False
    )
    stretched.save_to_disk(str(dataset.with_name("stretched")))
    done = train_lora(dataset.with_name("stretched"), "--num_train_epochs", 1)
    assert done.code == 0, done.err
    assert "note: 8 train rows are cut to the 512 tokens that the model reads" in done.err


def test_a_second_run_finds_its_work_done_and_another_is_refused(
    hf_dataset: Any, train_lora: Any, tmp_path: Path
) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 16))
    weights = tmp_path / "outputs" / "lora_adapter" / "adapter_model.safetensors"
    train_lora(dataset)
    first = weights.read_bytes()
    again = train_lora(dataset)
    assert again.code == 0 and "train is up to date" in again.err
    other = train_lora(dataset, "--learning_rate", 1e-2)
    assert other.code == 1 and "learning_rate was 5e-05, now 0.01" in other.err
    assert weights.read_bytes() == first
    replaced = train_lora(dataset, "--learning_rate", 1e-2, "--overwrite")
    assert replaced.code == 0
    assert weights.read_bytes() != first


def test_what_is_no_adapter_of_ours_is_left_alone(hf_dataset: Any, train_lora: Any, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "lora_adapter"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    for flags in ((), ("--overwrite",)):
        done = train_lora(hf_dataset(train=range(8), validation=range(8, 10)), *flags)
        assert done.code == 1 and "it holds something that is no adapter" in done.err
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["train_lora", "eval_adapter"])
def test_a_model_that_is_not_there_is_one_error_without_a_traceback(
    hf_dataset: Any, script: Any, tmp_path: Path, name: str
) -> None:
    dataset, nowhere = hf_dataset(train=range(8), validation=range(8, 10)), tmp_path / "no-model"
    flags = {
        "train_lora": [
            "--hf_dataset_dir",
            dataset,
            "--model_name_or_path",
            nowhere,
            "--output_dir",
            tmp_path / "o",
        ],
        "eval_adapter": [
            "--dataset_path",
            dataset,
            "--base_model",
            nowhere,
            "--adapter_path",
            tmp_path / "o",
        ],
    }
    done = script(name, *flags[name])
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ") and "  fix:   " in done.err


def test_shifted_labels_are_refused(hf_dataset: Any, train_lora: Any, eval_adapter: Any) -> None:
    import datasets

    dataset = hf_dataset(train=range(8), validation=range(8, 10))
    train_lora(dataset)
    rows = datasets.load_from_disk(str(dataset)).map(
        lambda row: {**row, "labels": [*row["labels"][1:], -100]}, load_from_cache_file=False
    )
    shifted = dataset.with_name("shifted")
    rows.save_to_disk(str(shifted))
    for done in (train_lora(shifted, "--overwrite"), eval_adapter(shifted)):
        assert (done.code, done.out) == (1, "")
        assert "do not shift labels" in done.err


def test_an_adapter_measured_on_another_base_is_named(
    hf_dataset: Any, train_lora: Any, script: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    dataset = hf_dataset(train=range(8), validation=range(8, 10))
    train_lora(dataset)
    other = shutil.copytree(alpaca_base, tmp_path / "another-gpt2")
    done = script(
        "eval_adapter",
        *(
            "--base_model",
            other,
            "--adapter_path",
            tmp_path / "outputs/lora_adapter",
            "--dataset_path",
            dataset,
        ),
    )
    assert f"the adapter was trained on {alpaca_base}; it is measured on {other}" in done.err


def test_the_five_known_prompts_are_there() -> None:
    prompts = (SCRIPTS / "prompts.txt").read_text().splitlines()
    words = [
        "sky is blue",
        "peanut butter and jelly",
        "robot who learns to paint",
        "cats and dogs",
        "in love with",
    ]
    assert len(prompts) == 5
    assert all(word in prompt for word, prompt in zip(words, prompts, strict=True))


def test_the_scripts_are_thin() -> None:
    for name in ("train_lora.py", "eval_adapter.py"):
        text = (SCRIPTS / name).read_text()
        assert len(text.splitlines()) <= 150
        assert "import torch" not in text and "import peft" not in text and "import transformers" not in text


def launch(folder: Path, *command: Any) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture
def experiment(tmp_path: Path, hf_dataset: Any, alpaca_base: Path) -> Path:
    """The two scripts alone in a folder, with a base model called gpt2 and a dataset called hf_dataset."""
    for name in ("train_lora.py", "eval_adapter.py"):
        shutil.copy(SCRIPTS / name, tmp_path)
    shutil.copytree(alpaca_base, tmp_path / "gpt2")
    hf_dataset(train=range(12), validation=range(12, 17), label_end=True)
    return tmp_path


FLAGS = shlex.split(
    "train_lora.py --hf_dataset_dir hf_dataset --model_name_or_path gpt2 --output_dir outputs/lora_adapter "
    "--r 8 --alpha 16 --dropout 0.1 --num_train_epochs 3 --per_device_train_batch_size 4 --fp16"
)
EVAL = shlex.split(
    "eval_adapter.py --base_model gpt2 --adapter_path outputs/lora_adapter --dataset_path hf_dataset "
    "--split validation --batch_size 8 --max_length 512 --device cpu"
)


@pytest.mark.slow
def test_the_known_commands_word_for_word(experiment: Path) -> None:
    accelerate = Path(sys.executable).with_name("accelerate")
    trained = launch(experiment, accelerate, "launch", *FLAGS)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == ""
    if len(os.sched_getaffinity(0)) > 1 and not torch.cuda.is_available():
        assert "the launcher set OMP_NUM_THREADS=1; using" in trained.stderr
    measured = launch(experiment, sys.executable, *EVAL)
    assert measured.returncode == 0, measured.stderr
    assert list(json.loads(measured.stdout)) == KEYS


@pytest.mark.slow
def test_plain_python_accelerate_and_two_processes_of_torchrun_take_the_same_steps(
    experiment: Path,
) -> None:
    flags = [*FLAGS[:-1], "--dropout", "0", "--num_train_epochs", "1"]
    python = [sys.executable, *flags, "--output_dir", "one/lora_adapter"]
    accelerate = [Path(sys.executable).with_name("accelerate"), "launch"]
    accelerate += [*flags, "--output_dir", "two/lora_adapter"]
    # "--" keeps torchrun from taking --r for an abbreviation of its own --rdzv-backend.
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]
    torchrun += flags
    torchrun += ["--output_dir", "three/lora_adapter", "--per_device_train_batch_size", "2"]
    for command in (python, accelerate, torchrun):
        done = launch(experiment, *command)
        assert done.returncode == 0, done.stderr
    one, two, three = (steps_of(experiment / name) for name in ("one", "two", "three"))
    assert [step["num_examples"] for step in three] == [4, 4, 4]
    assert [step["loss"] for step in two] == pytest.approx([step["loss"] for step in one], rel=1e-6)
    assert [step["target_tokens"] for step in three] == [step["target_tokens"] for step in one]


@pytest.mark.slow
def test_the_real_shape_of_gpt2_small_on_real_rows(
    script: Any, real_gpt2: Path, data_folder: Path, tmp_path: Path
) -> None:
    import datasets
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    base = Path(shutil.copytree(real_gpt2, tmp_path / "gpt2"))
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token
    rows = json.loads((data_folder / "alpaca_5000.json").read_text())[:10]
    made = []
    for row in rows:
        prompt = f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"
        text = f"{prompt}{row['output']}{tokenizer.eos_token}"
        encoded = tokenizer(text, padding="max_length", truncation=True, max_length=512)
        labels = [t if t != tokenizer.pad_token_id else -100 for t in encoded["input_ids"]]
        start = len(tokenizer(prompt)["input_ids"])
        made.append({**encoded, "labels": [-100] * start + labels[start:]})
    parts = {
        "train": datasets.Dataset.from_list(made[:8]),
        "validation": datasets.Dataset.from_list(made[8:]),
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "hf_dataset"))
    adapter, dataset = tmp_path / "outputs" / "lora_adapter", tmp_path / "hf_dataset"
    trained = script(
        "train_lora",
        *("--hf_dataset_dir", dataset, "--model_name_or_path", base, "--output_dir", adapter),
        *("--r", 8, "--alpha", 16, "--num_train_epochs", 1, "--per_device_train_batch_size", 4, "--fp16"),
    )
    assert trained.code == 0, trained.err
    # c_attn 768 -> 2304, attention's c_proj 768 -> 768, the MLP's c_proj 3072 -> 768, rank 8, 12 layers.
    assert (
        f"{12 * 8 * ((768 + 2304) + (768 + 768) + (3072 + 768)):,} adapter weights in 36 layers"
        in trained.err
    )
    measured = script(
        "eval_adapter", "--base_model", base, "--adapter_path", adapter, "--dataset_path", dataset
    )
    result = json.loads(measured.out)
    assert result["supervised_tokens"] == sum(label != -100 for row in made[8:] for label in row["labels"])
    assert 10 < result["eval_loss"] < 12  # ln 50257 = 10.8: random weights know nothing
