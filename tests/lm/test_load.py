import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, FalconConfig, FalconForCausalLM, OPTConfig, OPTForCausalLM

from lorascope.errors import ModelError, parts
from lorascope.lm.dropout import set_dropout
from lorascope.lm.fingerprint import base_fingerprint
from lorascope.lm.load import context_length, find_base, load_base, load_tokenizer


def copied(folder: Path, place: Path) -> Path:
    return shutil.copytree(folder, place / "model")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(base: Path | str) -> dict[str, str]:
    with pytest.raises(ModelError) as caught:
        load_base(str(base), dtype=torch.float32, device="cpu")
    return parts(caught.value.message)


def test_a_folder_loads_whole_in_eval_mode_with_sdpa_under_the_name_given(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder), dtype=torch.float32, device="cpu")
    saved = load_file(gpt2_folder / "model.safetensors")
    assert all(torch.equal(weight, saved[name]) for name, weight in model.named_parameters())
    assert not model.training
    assert model.config._attn_implementation == "sdpa"
    assert model.name_or_path == model.config._name_or_path == str(gpt2_folder)
    assert context_length(model.config) == 64


def test_weights_have_the_dtype_asked_for_not_the_one_saved(llama_folder: Path) -> None:
    # The folder holds bf16.
    for dtype in (torch.float32, torch.bfloat16):
        model = load_base(str(llama_folder), dtype=dtype, device="cpu")
        assert {weight.dtype for weight in model.parameters()} == {dtype}


def test_gpt2_draws_no_random_number_in_training_unless_its_dropout_is_kept(gpt2_folder: Path) -> None:
    input_ids = torch.arange(20)[None]
    for dropout, repeats in ((0.0, True), ("keep", False)):
        model = load_base(str(gpt2_folder), dtype=torch.float32, device="cpu", dropout=dropout).train()
        once, again = (model(input_ids).logits for _ in range(2))
        assert torch.equal(once, again) is repeats
        assert (model.config.attn_pdrop == 0) is repeats


def test_llama_keeps_its_dropout_as_a_number_and_it_is_set_too(llama_folder: Path) -> None:
    attention = load_base(str(llama_folder), dtype=torch.float32, device="cpu").model.layers[0].self_attn
    assert attention.attention_dropout == 0.0
    kept = load_base(str(llama_folder), dtype=torch.float32, device="cpu", dropout="keep")
    assert kept.model.layers[0].self_attn.attention_dropout == 0.25


@pytest.mark.parametrize("kind", ["opt", "falcon"])
def test_no_random_number_is_drawn_where_dropout_hides_elsewhere(kind: str) -> None:
    # OPT calls functional dropout and skips whole layers (layerdrop); Falcon reads its config at every pass.
    torch.manual_seed(0)
    if kind == "opt":
        small = OPTConfig(
            vocab_size=99, hidden_size=32, num_hidden_layers=4, ffn_dim=64, num_attention_heads=2,
            word_embed_proj_dim=32, dropout=0.5, layerdrop=0.5,
        )  # fmt: skip
        model = OPTForCausalLM(small)
    else:
        shape = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = FalconForCausalLM(FalconConfig(**shape, hidden_dropout=0.5, attention_dropout=0.5))
    model.train()
    input_ids = torch.arange(1, 20)[None]
    assert not torch.equal(model(input_ids).logits, model(input_ids).logits)
    assert set_dropout(model, 0.0) > 0
    assert torch.equal(model(input_ids).logits, model(input_ids).logits)


def test_a_tokenizer_loads_from_a_folder_without_a_model_such_as_an_adapter(
    gpt2_folder: Path, tmp_path: Path
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(gpt2_folder / name, tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert (
        load_tokenizer(str(tmp_path))("the sea").input_ids
        == load_tokenizer(str(gpt2_folder))("the sea").input_ids
    )


def test_loading_prints_nothing(gpt2_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_tokenizer(str(gpt2_folder))
    load_base(str(gpt2_folder), dtype=torch.float32, device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_wrong_path_names_the_nearest_folder(gpt2_folder: Path) -> None:
    said = refusal(gpt2_folder.with_name("tiny-gpt"))
    assert said["problem"].startswith("there is no folder")
    assert f'did you mean "{gpt2_folder}"' in said["fix"]


def test_a_file_is_not_a_base_model_but_its_folder_is(gpt2_folder: Path) -> None:
    assert refusal(gpt2_folder / "model.safetensors")["fix"] == f"give its folder, {gpt2_folder}"


def test_a_foreign_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    said = refusal(tmp_path)
    assert said["why"] == "missing: config.json, tokenizer files, model.safetensors; it holds notes.txt"


def test_the_folder_above_a_model_points_to_the_model(gpt2_folder: Path, tmp_path: Path) -> None:
    copied(gpt2_folder, tmp_path)
    assert refusal(tmp_path)["fix"] == f"give {tmp_path / 'model'}"


def test_an_adapter_is_told_apart_from_a_base_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/tiny"}')
    said = refusal(tmp_path)
    assert "an adapter is not a model" in said["why"]
    assert '"acme/tiny"' in said["fix"]


def test_a_model_with_an_adapter_beside_it_is_refused(gpt2_folder: Path, tmp_path: Path) -> None:
    folder = copied(gpt2_folder, tmp_path)
    (folder / "adapter_config.json").write_text("{}")
    assert "would add that adapter unasked" in refusal(folder)["why"]


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def emptied(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def a_web_page(folder: Path) -> None:
    (folder / "model.safetensors").write_text("<html>Sign in to continue to the hub</html>")


def a_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def a_list_for_a_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]")


def one_weight_less(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def wider_than_its_weights(folder: Path) -> None:
    edit_json(folder / "config.json", n_inner=96)


def with_code(folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "m.M"})


def with_a_kernel(folder: Path) -> None:
    edit_json(folder / "config.json", _attn_implementation_internal="someone/kernel")


def with_a_kernel_inside(folder: Path) -> None:
    edit_json(folder / "config.json", text_config={"attn_implementation": "someone/kernel"})


def an_encoder(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="vit")


def from_the_future(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="gpt99")


def no_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "gpt2"')


def no_type(folder: Path) -> None:
    (folder / "config.json").write_text('{"name": "mine"}')


@pytest.mark.parametrize(
    ("harm", "problem", "why"),
    [
        (without_weights, "has no weights", "neither model.safetensors nor"),
        (pickled, "as pickle only: pytorch_model.bin", "can run any code"),
        (cut_off, "is damaged: model.safetensors", "where its header says"),
        (emptied, "is damaged", "not that of a safetensors file"),
        (a_web_page, "is damaged", "not those of a safetensors file"),
        (a_pointer, "is damaged", "git lfs pull"),
        (a_list_for_a_header, "is damaged", "not that of a safetensors file"),
        (one_weight_less, "1 weights are missing: transformer.h.1.attn.c_attn.weight", "would be random"),
        (wider_than_its_weights, "weights are of another shape: transformer.h.0.mlp.c_fc", "would be random"),
        (with_code, 'config.json has "auto_map"', "runs no code"),
        (with_a_kernel, 'has "_attn_implementation_internal"', "runs no code"),
        (with_a_kernel_inside, 'has "attn_implementation"', "runs no code"),
        (an_encoder, "is not a causal language model", '"vit"'),
        (from_the_future, "is too new or foreign", "does not know its model_type"),
        (no_json, "cannot be read", "JSONDecodeError"),
        (no_type, "is not a model's", '"model_type"'),
    ],
)
def test_a_damaged_model_is_refused_by_name_of_the_damage(
    gpt2_folder: Path, tmp_path: Path, harm: Callable[[Path], None], problem: str, why: str
) -> None:
    folder = copied(gpt2_folder, tmp_path)
    harm(folder)
    said = refusal(folder)
    assert problem in said["problem"]
    assert why in said["why"]
    assert said["fix"]


def test_a_missing_shard_is_named(llama_folder: Path, tmp_path: Path) -> None:
    folder = copied(llama_folder, tmp_path)
    (folder / "model-00002-of-00005.safetensors").unlink()
    assert refusal(folder)["problem"].endswith("are incomplete: model-00002-of-00005.safetensors")


def test_an_index_may_not_name_a_file_elsewhere(llama_folder: Path, tmp_path: Path) -> None:
    folder = copied(llama_folder, tmp_path)
    edit_json(
        folder / "model.safetensors.index.json", weight_map={"lm_head.weight": "../../secret.safetensors"}
    )
    assert "index of the weights" in refusal(folder)["problem"]


def test_a_tied_head_is_no_missing_weight(gpt2_folder: Path) -> None:
    assert "lm_head.weight" not in load_file(gpt2_folder / "model.safetensors")
    model = load_base(str(gpt2_folder), dtype=torch.float32, device="cpu")
    assert model.lm_head.weight is model.transformer.wte.weight


def test_weights_without_a_place_are_noted_not_hidden(
    gpt2_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(gpt2_folder, tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"value_head.weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    load_base(str(folder), dtype=torch.float32, device="cpu")
    assert "1 weights have no place in the model: value_head.weight" in caplog.text


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer_is_refused(gpt2_folder: Path, tmp_path: Path, name: str) -> None:
    folder = copied(gpt2_folder, tmp_path)
    (folder / name).write_text('{"version": ')
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(str(folder))


def test_a_tokenizer_with_code_of_its_own_is_refused(gpt2_folder: Path, tmp_path: Path) -> None:
    folder = copied(gpt2_folder, tmp_path)
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["t.T", None]})
    with pytest.raises(ModelError, match=r'tokenizer_config.json has "auto_map"'):
        load_tokenizer(str(folder))


def test_a_revision_of_a_folder_is_refused(gpt2_folder: Path) -> None:
    with pytest.raises(ModelError, match="only Hub models have revisions"):
        find_base(str(gpt2_folder), revision="main")


def test_a_model_fingerprints_alike_in_float32_and_bf16_and_unlike_its_neighbour(gpt2_folder: Path) -> None:
    model, half = (
        load_base(str(gpt2_folder), dtype=dtype, device="cpu") for dtype in (torch.float32, torch.bfloat16)
    )
    ours = AutoModelForCausalLM.from_pretrained(gpt2_folder)
    assert base_fingerprint(model) == base_fingerprint(half) == base_fingerprint(ours)
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.weight.mul_(1.01)
    assert base_fingerprint(model) != base_fingerprint(half)
