"""eval on a run: its numbers against plain transformers and peft, and what it refuses."""

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.cli.app import main
from lorascope.errors import ConfigError, ModelError, NumericsError, RunError
from lorascope.run.folder import RunFolder

pytestmark = pytest.mark.end_to_end


def plain_sums(base: Path, adapter: Path | None, dataset: Path, split: str) -> list[tuple[float, int]]:
    """The oracle: datasets, transformers and peft alone; summed nats and target tokens of each row."""
    import datasets
    import peft
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # inside peft
            model = peft.PeftModel.from_pretrained(model, adapter)
    model.eval()
    sums = []
    for row in datasets.load_from_disk(str(dataset))[split]:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].double()
        target = torch.tensor(row["labels"][1:])
        nll = torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        sums.append((float(nll), int((target != -100).sum())))
    return sums


def test_eval_equals_plain_transformers_and_peft(
    own_run: RunFolder, alpaca_base: Path, evaluate: Any
) -> None:
    import pyarrow.parquet as pq

    result = evaluate(own_run)
    for name, adapter in (("base", None), ("adapter", own_run.adapter)):
        sums = plain_sums(alpaca_base, adapter, own_run.dataset, "validation")
        loss = sum(nll for nll, _ in sums) / sum(tokens for _, tokens in sums)
        assert result[name]["eval_loss"] == pytest.approx(loss, rel=1e-5)
        assert result[name]["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
        assert result[name]["supervised_tokens"] == sum(tokens for _, tokens in sums)
        table = pq.read_table(own_run.stage("eval") / f"{name}.parquet").to_pydict()
        assert table["nll_sum"] == pytest.approx([nll for nll, _ in sums], rel=1e-5)
        assert table["num_tokens"] == [tokens for _, tokens in sums]
        stored = json.loads((own_run.stage("eval") / f"{name}.json").read_text())
        assert stored == result[name]


def test_the_difference_is_that_of_the_two_losses_with_an_interval(own_run: RunFolder, evaluate: Any) -> None:
    result = evaluate(own_run)
    difference = result["adapter"]["difference_from_base"]["loss"]
    assert difference["estimate"] == pytest.approx(
        result["adapter"]["eval_loss"] - result["base"]["eval_loss"], rel=1e-9
    )
    assert difference["low"] < difference["estimate"] < difference["high"] < 0  # it has learnt
    assert difference["num"] == 8


def test_batch_size_changes_no_loss_and_the_classic_mean_of_batches_does(
    own_run: RunFolder, evaluate: Any
) -> None:
    found = {
        size: evaluate(own_run, f"eval.batch_size={size}", overwrite=True)["adapter"] for size in (1, 3, 8)
    }
    losses = [one["eval_loss"] for one in found.values()]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    assert [one["num_batches"] for one in found.values()] == [8, 3, 1]
    means = [one["mean_of_batch_losses"] for one in found.values()]
    assert means[2] == pytest.approx(losses[2], rel=1e-6)  # one batch of all: its mean is the loss
    assert abs(means[0] - means[2]) > 1e-4  # the fault that it stands beside


def test_the_record_names_what_decides_it(own_run: RunFolder, evaluate: Any) -> None:
    adapter = evaluate(own_run)["adapter"]
    chosen = {key: adapter[key] for key in ("split", "batch_size", "max_length", "precision", "bytes_from")}
    assert chosen == {
        "split": "validation",
        "batch_size": 8,
        "max_length": 200,
        "precision": "float32",
        "bytes_from": "the source text",
    }


def test_groups_are_the_parts_of_the_whole(own_run: RunFolder, evaluate: Any) -> None:
    adapter = evaluate(own_run, "eval.group_by=family")["adapter"]
    groups = adapter["by_group"]["family"]
    assert set(groups) == {"even", "odd"}
    assert sum(one["num_examples"] for one in groups.values()) == 8
    weighed = sum(one["eval_loss"] * one["supervised_tokens"] for one in groups.values())
    assert weighed / adapter["supervised_tokens"] == pytest.approx(adapter["eval_loss"], rel=1e-9)


def test_several_columns_give_a_breakdown_each(own_run: RunFolder, evaluate: Any) -> None:
    settings = ("eval.group_by=[family,half]", "eval.generate=4", "eval.max_new_tokens=2")
    adapter = evaluate(own_run, *settings)["adapter"]
    for by_column, total in ((adapter["by_group"], 8), (adapter["answers"]["by_group"], 4)):
        assert list(by_column) == ["family", "half"]
        assert set(by_column["half"]) <= {"low", "high"}
        for groups in by_column.values():
            assert sum(one["num_examples"] for one in groups.values()) == total


def test_an_unknown_group_is_refused_with_the_near_name(own_run: RunFolder, evaluate: Any) -> None:
    with pytest.raises(ConfigError, match=r'no column "famly"(.|\n)*did you mean "family"'):
        evaluate(own_run, "eval.group_by=famly")


def test_free_answers_are_matched_against_their_references(own_run: RunFolder, evaluate: Any) -> None:
    result = evaluate(own_run, "eval.generate=3", "eval.max_new_tokens=5")
    for one in (result["base"], result["adapter"]):
        assert one["answers"]["num_examples"] == 3
        assert (one["answers"]["decoding"], one["answers"]["max_new_tokens"]) == ("greedy", 5)
        assert 0 <= one["answers"]["exact_match"]["estimate"] <= 1


def test_a_single_answer_has_no_interval_and_says_why(own_run: RunFolder, evaluate: Any) -> None:
    answers = evaluate(own_run, "eval.generate=1", "eval.max_new_tokens=2")["adapter"]["answers"]
    own = answers["token_f1"]
    assert 0 <= own["estimate"] <= 1
    assert (own["low"], own["high"], own["num"]) == (None, None, 1)
    assert "at least 2" in answers["why"]["token_f1_interval"]


def test_best_last_and_a_path_are_three_names_of_adapters(own_run: RunFolder, evaluate: Any) -> None:
    best = evaluate(own_run, adapter="best")
    assert best["adapter"]["adapter"] == str(own_run.adapter_best)
    last = evaluate(own_run, overwrite=True)
    assert last["adapter"]["adapter"] == str(own_run.adapter)
    path = evaluate(own_run, adapter=str(own_run.adapter_best), overwrite=True)
    assert path["adapter"]["eval_loss"] == best["adapter"]["eval_loss"]


def test_a_finished_evaluation_is_up_to_date_and_other_settings_are_refused(
    own_run: RunFolder, evaluate: Any
) -> None:
    first = evaluate(own_run)
    made = (own_run.stage("eval") / "adapter.json").stat().st_mtime_ns
    assert evaluate(own_run) == first
    assert (own_run.stage("eval") / "adapter.json").stat().st_mtime_ns == made
    with pytest.raises(RunError, match=r"eval.batch_size was 8, now 4(.|\n)*--overwrite"):
        evaluate(own_run, "eval.batch_size=4")


def test_a_run_that_is_not_trained_is_refused(own_run: RunFolder, evaluate: Any) -> None:
    shutil.rmtree(own_run.stage("train"))
    with pytest.raises(RunError, match=r'not been through "train" yet(.|\n)*lorascope train'):
        evaluate(own_run)


def test_other_weights_under_the_same_name_are_refused(
    own_run: RunFolder, alpaca_base: Path, tmp_path: Path, evaluate: Any
) -> None:
    from transformers import GPT2LMHeadModel

    other = Path(shutil.copytree(alpaca_base, tmp_path / "other"))
    model = GPT2LMHeadModel.from_pretrained(other)
    model.transformer.h[0].mlp.c_fc.weight.data += 0.5
    model.save_pretrained(other)
    with pytest.raises(ModelError, match="the base model is not the one this adapter was trained on"):
        evaluate(own_run, f"base={other}")


def test_an_adapter_with_a_nan_is_refused_by_the_command(
    own_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    broken = Path(shutil.copytree(own_run.adapter, tmp_path / "broken"))
    tensors = load_file(broken / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = torch.nan
    save_file(tensors, broken / "adapter_model.safetensors")
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(own_run.path), "--adapter", str(broken), "--json"])
    out, err = capsys.readouterr()
    assert stopped.value.code == 1
    assert json.loads(out)["error"]["type"] == NumericsError.__name__
    assert "Traceback" not in err
    assert not own_run.stage("eval").exists()


def test_the_command_prints_one_json_object(own_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(own_run.path), "--json"])
    assert stopped.value.code == 0
    result = json.loads(capsys.readouterr().out)
    assert result["adapter"]["eval_loss"] < result["base"]["eval_loss"]
