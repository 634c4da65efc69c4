from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lorascope.lm.fingerprint import base_fingerprint, tokenizer_fingerprint
from lorascope.lm.load import load_base, load_tokenizer


def test_where_a_model_lies_and_how_it_is_used_is_no_part_of_its_fingerprint(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder), dtype=torch.float32, device="cpu", dropout="keep")
    before = base_fingerprint(model)
    model.config._name_or_path = "elsewhere"
    model.config.use_cache = False
    model.config.attn_pdrop = 0.0
    model.train()
    assert base_fingerprint(model) == before


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft calls it
def test_an_adapter_does_not_change_the_fingerprint_of_its_base(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder), dtype=torch.float32, device="cpu")
    before = base_fingerprint(model)
    lora = LoraConfig(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    assert base_fingerprint(get_peft_model(model, lora)) == before


def test_the_last_value_of_a_large_weight_counts() -> None:
    # 2^24 + 1 values: float32 arithmetic on the indices would miss the end.
    layer = torch.nn.Linear(2**24 + 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        before = base_fingerprint(layer)
        layer.weight[0, -1] = 1.0
    assert base_fingerprint(layer) != before


def test_a_name_or_a_shape_counts() -> None:
    square, flat = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(8, 2, bias=False)
    with torch.no_grad():
        square.weight.zero_()
        flat.weight.zero_()
    assert base_fingerprint(square) != base_fingerprint(flat)
    assert base_fingerprint(torch.nn.ModuleDict({"a": square})) != base_fingerprint(
        torch.nn.ModuleDict({"b": square})
    )


def test_a_tokenizer_keeps_its_fingerprint_through_use_and_disk(gpt2_folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(gpt2_folder))
    before = tokenizer_fingerprint(tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer(
        ["a", "longer text"], padding=True, truncation=True, max_length=3
    )  # leaves traces in the backend
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(load_tokenizer(str(tmp_path))) == before


def test_what_changes_token_ids_or_prompts_changes_the_fingerprint(gpt2_folder: Path) -> None:
    seen = set()
    for change in ("none", "token", "special", "template"):
        tokenizer = load_tokenizer(str(gpt2_folder))
        if change == "token":
            tokenizer.add_tokens(["<new>"])
        elif change == "special":
            tokenizer.bos_token = "<end>"
        elif change == "template":
            tokenizer.chat_template = "{{ messages[0]['content'] }}"
        seen.add(tokenizer_fingerprint(tokenizer))
    assert len(seen) == 4
