import json
import os
import subprocess
import sys

import pytest

from lorascope import starter

pytestmark = pytest.mark.end_to_end


def test_importing_the_starter_loads_neither_torch_nor_numpy() -> None:
    heavy = "[name for name in ('torch', 'numpy', 'transformers') if name in sys.modules]"
    code = f"import sys, lorascope.starter; print({heavy})"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "[]"


def test_model_and_dataset_weigh_at_most_8_mb_together() -> None:
    files = [starter.data_file(), *starter.base_folder().iterdir()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000


def test_the_recorded_training_is_whole_and_fluent() -> None:
    record = json.loads(starter.training_record_file().read_text(encoding="ascii"))
    assert record["fluency"]["num_continuations"] >= 50
    assert record["fluency"]["seq_rep_4"] <= 0.1
    assert record["curve"][-1]["step"] == record["plan"]["num_steps"]
    assert record["curve"][-1]["held_out_loss"] < record["curve"][0]["held_out_loss"]


@pytest.fixture(scope="module")
def tokenizer():
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(starter.base_folder())


def test_the_tokenizer_gives_every_row_back(tokenizer) -> None:
    rows = json.loads(starter.data_file().read_text(encoding="ascii"))
    for text in {row[key] for row in rows for key in ("instruction", "input", "output")}:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    odd = "Z\u00fcrich, na\u00efve; 3+4=7 \n\t x"
    assert tokenizer.decode(tokenizer(odd)["input_ids"]) == odd


def test_the_tokenizer_closes_with_end_of_text_and_has_no_pad_token(tokenizer) -> None:
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.pad_token is None
    assert tokenizer("<|endoftext|>")["input_ids"] == [tokenizer.eos_token_id]


def test_the_base_is_stored_in_bfloat16_and_loads_as_gpt2(tokenizer) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(starter.base_folder(), dtype="auto")
    assert model.config.model_type == "gpt2"
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert 2_000_000 < model.num_parameters() < 3_200_000
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_sampled_continuations_hardly_repeat_themselves(tokenizer) -> None:
    torch = pytest.importorskip("torch")
    from transformers import GPT2LMHeadModel

    from lorascope.starter.documents import documents
    from lorascope.starter.fluency import fluency, sampled_continuations

    model = GPT2LMHeadModel.from_pretrained(starter.base_folder(), dtype=torch.float32).eval()
    sampled = sampled_continuations(model, tokenizer, list(documents(7, 8)), seed=0, new_tokens=64)
    # Eight short samples: 0.15 leaves room around the bound of 0.1 that holds for the recorded fifty.
    assert fluency(sampled)["seq_rep_4"] <= 0.15


def test_seq_rep_4_counts_four_grams_seen_before() -> None:
    from lorascope.starter.fluency import seq_rep_4

    # 1 2 3 4 1 2 3 4: five 4-grams, the first and the last equal, so 1 - 4/5.
    assert seq_rep_4([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert seq_rep_4([1, 2, 3, 4]) == 0
    assert seq_rep_4([1, 2]) == 0
