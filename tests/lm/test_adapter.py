"""Adapters: what is put on, saved and loaded is one thing, and what does not fit is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from lorascope.errors import ModelError, NumericsError
from lorascope.lm.adapter import (
    CONFIG,
    WEIGHTS,
    adapter_tensors,
    attach_adapter,
    changes_nothing,
    load_adapter,
    resolve_target_modules,
    save_adapter,
    trainable_parameters,
)
from lorascope.lm.load import load_base, load_tokenizer

PROMPT = torch.tensor([[5, 9, 23, 7, 41]])


def fresh(base: Path, *, seed: int = 0, targets: tuple[str, ...] = ("c_attn", "c_proj")) -> Any:
    return attach_adapter(
        load_base(str(base)), rank=4, alpha=8, dropout=0.0, target_modules=targets, seed=seed
    )


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=PROMPT).logits
    return out


@pytest.fixture(scope="module")
def saved(gpt2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """An adapter with B drawn at random, and what the model answers with it. Copy it before changing it."""
    model = fresh(gpt2_folder)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("adapters") / "good"
    folder.mkdir()
    save_adapter(model, load_tokenizer(str(gpt2_folder)), folder)
    return folder, logits(model.eval())


@pytest.fixture
def copy(saved: tuple[Path, torch.Tensor], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[0], tmp_path / "adapter"))


def edit_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **values}))


def test_a_fresh_adapter_changes_no_bit_of_the_answer(gpt2_folder: Path) -> None:
    model = fresh(gpt2_folder)
    assert torch.equal(logits(model.eval()), logits(load_base(str(gpt2_folder))))
    assert changes_nothing(model)


def test_a_fresh_adapter_alone_is_trainable_and_its_weights_follow_the_seed(gpt2_folder: Path) -> None:
    first, again, other = (fresh(gpt2_folder, seed=seed) for seed in (0, 0, 1))
    assert all("lora_" in name for name, p in first.named_parameters() if p.requires_grad)
    assert {p.dtype for p in trainable_parameters(first)} == {torch.float32}
    one, two, three = (adapter_tensors(model) for model in (first, again, other))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)


def test_making_an_adapter_leaves_the_random_state_alone(gpt2_folder: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fresh(gpt2_folder)
    assert torch.equal(torch.rand(3), expected)


def test_auto_is_every_linear_layer_but_the_head(gpt2_folder: Path, llama_folder: Path) -> None:
    gpt2, llama = load_base(str(gpt2_folder)), load_base(str(llama_folder))
    assert resolve_target_modules("auto", gpt2, "gpt2") == ("c_attn", "c_fc", "c_proj")
    assert resolve_target_modules("auto", llama, "llama") == (
        "down_proj",
        "gate_proj",
        "k_proj",
        "o_proj",
        "q_proj",
        "up_proj",
        "v_proj",
    )


def test_an_unknown_target_module_is_refused_with_the_near_name(gpt2_folder: Path) -> None:
    with pytest.raises(ModelError, match=r'"c_atn" matches no layer(.|\n)*did you mean "c_attn"'):
        resolve_target_modules(["c_atn"], load_base(str(gpt2_folder)), "gpt2")


def test_the_head_is_no_target_and_is_called_what_it_is(gpt2_folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r'"lm_head" is the head(.|\n)*frozen head(.|\n)*c_attn, c_fc, c_proj'
    ):
        resolve_target_modules(["c_attn", "lm_head"], load_base(str(gpt2_folder)), "gpt2")


def test_a_loaded_adapter_answers_as_the_saved_one_though_nothing_is_trainable(
    saved: tuple[Path, torch.Tensor], gpt2_folder: Path
) -> None:
    # The fault: "0 trainable parameters" is printed, and taken for an adapter that is missing.
    folder, expected = saved
    model = load_adapter(load_base(str(gpt2_folder)), folder, "gpt2")
    assert trainable_parameters(model) == []
    assert not changes_nothing(model)
    assert torch.equal(logits(model), expected)


def test_a_saved_adapter_loads_with_peft_alone_and_answers_the_same(
    saved: tuple[Path, torch.Tensor], gpt2_folder: Path
) -> None:
    import warnings

    import peft

    folder, expected = saved
    base = GPT2LMHeadModel.from_pretrained(gpt2_folder, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        model = peft.PeftModel.from_pretrained(base, folder)
    torch.testing.assert_close(logits(model.eval()), expected, rtol=1e-5, atol=1e-5)


def test_a_saved_adapter_holds_its_tokenizer_and_no_card_of_peft(saved: tuple[Path, torch.Tensor]) -> None:
    names = {path.name for path in saved[0].iterdir()}
    assert {CONFIG, WEIGHTS, "tokenizer.json"} <= names
    assert "README.md" not in names


def test_an_adapter_of_another_architecture_is_refused(copy: Path, llama_folder: Path) -> None:
    edit_config(copy, base_model_name_or_path="some/gpt2")
    with pytest.raises(ModelError, match=r'layer "c_\w+", the base model has not(.|\n)*--base some/gpt2'):
        load_adapter(load_base(str(llama_folder)), copy, "a-llama")


def test_an_adapter_of_another_width_is_refused(copy: Path, gpt2_folder: Path) -> None:
    wide = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=2, n_positions=64, vocab_size=300))
    with pytest.raises(ModelError, match=r"c_attn has width 64 in the base model and 32 in the adapter"):
        load_adapter(wide, copy, "wide")


def test_an_adapter_of_fewer_layers_is_refused(copy: Path, gpt2_folder: Path) -> None:
    deep = GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=32, n_head=2, n_positions=64, vocab_size=300))
    with pytest.raises(ModelError, match=r"\d+ tensors are missing: .*h\.2\."):
        load_adapter(deep, copy, "deep")


def test_an_adapter_with_one_nan_is_refused(copy: Path, gpt2_folder: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    name = sorted(tensors)[1]
    tensors[name][0, 0] = float("nan")
    save_file(tensors, copy / WEIGHTS)
    with pytest.raises(NumericsError, match=rf"1 of {tensors[name].numel()} values of {name} are not finite"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_an_adapter_that_is_not_finite_is_not_saved(gpt2_folder: Path, tmp_path: Path) -> None:
    model = fresh(gpt2_folder)
    trainable_parameters(model)[0].data[0, 0] = float("inf")
    with pytest.raises(NumericsError, match="not finite"):
        save_adapter(model, load_tokenizer(str(gpt2_folder)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left_out", ["half", "all"])
def test_an_adapter_that_lacks_tensors_is_refused(copy: Path, gpt2_folder: Path, left_out: str) -> None:
    tensors = load_file(copy / WEIGHTS)
    kept = dict(sorted(tensors.items())[: len(tensors) // 2 if left_out == "half" else 0])
    save_file(kept, copy / WEIGHTS)
    with pytest.raises(ModelError, match=f"{len(tensors) - len(kept)} tensors are missing"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_an_adapter_with_renamed_tensors_is_refused(copy: Path, gpt2_folder: Path) -> None:
    # The fault: PEFT warns of keys it cannot place and answers with the base model, no adapter applied.
    tensors = {name.replace("lora_A", "lora_X"): tensor for name, tensor in load_file(copy / WEIGHTS).items()}
    save_file(tensors, copy / WEIGHTS)
    with pytest.raises(ModelError, match="the adapter does not fit: 6 tensors are missing"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_an_adapter_whose_config_names_another_rank_is_refused(copy: Path, gpt2_folder: Path) -> None:
    edit_config(copy, r=8)
    with pytest.raises(ModelError, match="the adapter does not fit"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_a_pickled_adapter_is_refused(copy: Path, gpt2_folder: Path) -> None:
    (copy / WEIGHTS).rename(copy / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no safetensors weights(.|\n)*a pickle, which can run code"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_truncated_weights_are_refused(copy: Path, gpt2_folder: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=f"{WEIGHTS} cannot be read"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_another_kind_of_adapter_is_refused(copy: Path, gpt2_folder: Path) -> None:
    edit_config(copy, peft_type="IA3")
    with pytest.raises(ModelError, match="the adapter is of type IA3"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


@pytest.mark.parametrize("text", ["[]", '"LORA"', "{"])
def test_a_config_that_is_no_object_is_refused(copy: Path, gpt2_folder: Path, text: str) -> None:
    (copy / CONFIG).write_text(text)
    with pytest.raises(ModelError, match=f"{CONFIG} cannot be read"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_an_adapter_that_brings_code_is_refused(copy: Path, gpt2_folder: Path) -> None:
    (copy / "modeling.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match="the adapter brings code"):
        load_adapter(load_base(str(gpt2_folder)), copy, "gpt2")


def test_a_missing_adapter_is_refused_with_the_near_name(copy: Path, gpt2_folder: Path) -> None:
    with pytest.raises(ModelError, match=r'does not exist(.|\n)*did you mean "adapter"'):
        load_adapter(load_base(str(gpt2_folder)), copy.with_name("adaptr"), "gpt2")
