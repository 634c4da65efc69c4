"""Each fault of the classic scripts, and that ours do not have it."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.end_to_end


def plain_sums(
    base: Path, adapter: Path, dataset: Path, split: str = "validation"
) -> list[tuple[float, int]]:
    """The oracle: datasets, transformers and peft alone, one row at a time, cut at its attention mask."""
    import datasets
    import peft
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        model = peft.PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter
        )
    model.eval()
    sums = []
    for row in datasets.load_from_disk(str(dataset))[split]:
        length = sum(row["attention_mask"])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["input_ids"][:length]])).logits[0, :-1].double()
        target = torch.tensor(row["labels"][1:length])
        nll = torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        sums.append((float(nll), int((target != -100).sum())))
    return sums


def loss_of(sums: list[tuple[float, int]]) -> float:
    return sum(nll for nll, _ in sums) / sum(tokens for _, tokens in sums)


@pytest.fixture
def strong(train_lora: Any) -> Any:
    """Train with a rate at which the adapter changes much."""

    def run(dataset: Path, *more: Any) -> Any:
        done = train_lora(dataset, "--learning_rate", 2e-2, *more)
        assert done.code == 0, done.err
        return done

    return run


def test_the_attention_mask_is_not_made_by_comparing_ids_with_the_pad_id(
    hf_dataset: Any, strong: Any, eval_adapter: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    # The pad token is the end-of-text token: by its id, each answer's own end would count as padding.
    dataset = hf_dataset(train=range(12), validation=range(12, 17), label_end=True)
    strong(dataset)
    result = json.loads(eval_adapter(dataset).out)
    sums = plain_sums(alpaca_base, tmp_path / "outputs" / "lora_adapter", dataset)
    assert result["eval_loss"] == pytest.approx(loss_of(sums), rel=1e-5)
    assert result["supervised_tokens"] == sum(tokens for _, tokens in sums)


def test_an_end_of_text_that_is_no_target_is_named_by_both_scripts(
    hf_dataset: Any, strong: Any, eval_adapter: Any
) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 17), label_end=False)
    trained = strong(dataset)
    assert '17 of 17 rows fail "the last target is a stop token"' in trained.err
    assert "append the end-of-text token" in trained.err
    measured = eval_adapter(dataset)
    assert '5 of 5 rows fail "the last target is a stop token"' in measured.err


def test_an_end_of_text_that_is_a_target_is_one_token_more_a_row(
    hf_dataset: Any, strong: Any, eval_adapter: Any
) -> None:
    without = hf_dataset(train=range(12), validation=range(12, 17), label_end=False)
    with_end = hf_dataset(train=range(12), validation=range(12, 17), label_end=True, name="with_end")
    strong(with_end)
    labelled, unlabelled = eval_adapter(with_end), eval_adapter(without)
    assert "stop token" not in labelled.err
    tokens = [json.loads(done.out)["supervised_tokens"] for done in (labelled, unlabelled)]
    assert tokens[0] == tokens[1] + 5


def test_the_loss_is_not_averaged_over_batches(
    hf_dataset: Any, strong: Any, eval_adapter: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 20))
    strong(dataset)
    found = [json.loads(eval_adapter(dataset, "--batch_size", size).out) for size in (1, 3, 8)]
    assert [one["num_batches"] for one in found] == [8, 3, 1]
    losses = [one["eval_loss"] for one in found]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    sums = plain_sums(alpaca_base, tmp_path / "outputs" / "lora_adapter", dataset)
    assert losses[0] == pytest.approx(loss_of(sums), rel=1e-5)
    by_batch = sum(nll / tokens for nll, tokens in sums) / len(sums)
    assert abs(by_batch - losses[0]) > 1e-3  # the fault would have shown


def test_the_loss_is_one_number_though_rows_are_lists_of_unequal_length(
    hf_dataset: Any, strong: Any, eval_adapter: Any, tmp_path: Path
) -> None:
    # Batches that are lists and not tensors, or a loss per row, end in an exception or in a vector.
    import datasets

    padded = hf_dataset(train=range(12), validation=range(12, 17))
    strong(padded)
    trimmed = {
        split: datasets.Dataset.from_list(
            [{key: row[key][: sum(row["attention_mask"])] for key in ("input_ids", "labels")} for row in rows]
        )
        for split, rows in datasets.load_from_disk(str(padded)).items()
    }
    datasets.DatasetDict(trimmed).save_to_disk(str(tmp_path / "trimmed"))
    one, other = (json.loads(eval_adapter(path).out) for path in (padded, tmp_path / "trimmed"))
    assert isinstance(one["eval_loss"], float)
    assert one == other


def test_no_trainable_parameters_are_not_taken_for_a_missing_adapter(
    hf_dataset: Any, strong: Any, eval_adapter: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    from lorascope.lm.adapter import trainable_parameters
    from lorascope.lm.pair import load_pair

    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    strong(dataset)
    adapter = tmp_path / "outputs" / "lora_adapter"
    assert trainable_parameters(load_pair(str(alpaca_base), adapter).model) == []
    done = eval_adapter(dataset)
    assert done.code == 0
    assert "changes nothing" not in done.err
    assert json.loads(done.out)["eval_loss"] == pytest.approx(
        loss_of(plain_sums(alpaca_base, adapter, dataset)), rel=1e-5
    )


def test_validation_examples_are_not_trained_on_and_both_scripts_name_them(
    hf_dataset: Any, strong: Any, eval_adapter: Any, tmp_path: Path
) -> None:
    dataset = hf_dataset(train=range(12), validation=[3, 7, 20, 21])
    trained = strong(dataset)
    assert "training rows that are also in validation: 2, left out (3, 7)" in trained.err
    summary = json.loads((tmp_path / "outputs/lora_adapter-run/train/summary.json").read_text())
    assert summary["train_examples"] == 10
    assert '2 of 4 rows fail "no validation row is in training"' in eval_adapter(dataset).err


def test_an_adapter_that_is_not_applied_is_refused_or_named(
    hf_dataset: Any, strong: Any, eval_adapter: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    strong(dataset)
    weights = tmp_path / "outputs" / "lora_adapter" / "adapter_model.safetensors"
    tensors = load_file(weights)
    # Keys that PEFT cannot place: it warns, and answers with the base model.
    save_file({name.replace("base_model.", ""): tensor for name, tensor in tensors.items()}, weights)
    done = eval_adapter(dataset)
    assert (done.code, done.out) == (1, "")
    assert "error: the adapter does not fit: 12 tensors are missing" in done.err
    # An adapter that was never trained is applied, and adds exactly nothing.
    zeroed = {name: t * 0 if "lora_B" in name else t for name, t in tensors.items()}
    save_file(zeroed, weights)
    done = eval_adapter(dataset)
    assert done.code == 0
    assert "the adapter changes nothing" in done.err


def test_perplexity_is_the_exponential_of_the_loss(hf_dataset: Any, strong: Any, eval_adapter: Any) -> None:
    dataset = hf_dataset(train=range(12), validation=range(12, 17))
    strong(dataset)
    result = json.loads(eval_adapter(dataset).out)
    assert result["perplexity"] == pytest.approx(math.exp(result["eval_loss"]), rel=1e-12)
