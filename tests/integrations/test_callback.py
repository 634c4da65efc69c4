"""LorascopeCallback in real trainings by transformers' Trainer and TRL's SFTTrainer."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import DataError, parts

pytestmark = pytest.mark.end_to_end
IGNORE = -100


def rows_for(
    tokenizer: Any, num: int = 24, *, masked: bool = False, stop: bool = True, plain: int = 0
) -> list[dict[str, Any]]:
    """Prompts with short answers, tokenised; the answer is the target, its stop token too unless asked.

    Of the first `plain` rows all is a target.
    """
    rows = []
    for number in range(num):
        prompt, answer = (
            tokenizer(f"Say number {number}.").input_ids,
            tokenizer(f" It is {number}!").input_ids,
        )
        end = [tokenizer.eos_token_id] if stop else []
        ids = [*prompt, *answer, *end]
        labels = [IGNORE] * len(prompt) + ([IGNORE] * (len(answer) + len(end)) if masked else [*answer, *end])
        labels = list(ids) if number < plain else labels
        rows.append({"input_ids": ids, "labels": labels, "attention_mask": [1] * len(ids)})
    return rows


def padded(batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A collator: pad to the longest with token 0, which is the end-of-text token too."""
    import torch

    longest = max(len(row["input_ids"]) for row in batch)
    filler = {"input_ids": 0, "labels": IGNORE, "attention_mask": 0}
    return {
        name: torch.tensor([[*row[name], *[value] * (longest - len(row[name]))] for row in batch])
        for name, value in filler.items()
    }


def trainer_of(base: Path, folder: Path, rows: list[dict[str, Any]], callback: Any, **settings: Any) -> Any:
    """A Trainer on the tiny GPT-2, on the CPU, with evaluation."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    arguments = {
        "output_dir": str(folder),
        "num_train_epochs": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 5e-3,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
    }
    return Trainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=TrainingArguments(**{**arguments, **settings}),
        train_dataset=rows,  # type: ignore[arg-type]
        eval_dataset=rows[:8],  # type: ignore[arg-type]
        data_collator=padded,  # type: ignore[arg-type]
        processing_class=AutoTokenizer.from_pretrained(base),
        callbacks=[callback] if callback else [],
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_lines_bring_check_step_log_and_verdict(alpaca_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    told: list[str] = []
    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base))
    callback = LorascopeCallback(tell=told.append)
    trainer = trainer_of(alpaca_base, tmp_path / "out", rows, callback)
    trainer.train()
    assert callback.checked is not None and callback.checked["passed"]
    assert told[0].startswith("lorascope: check of 24 rows")
    lines = lines_of(tmp_path / "out" / "lorascope.jsonl")
    steps = [line for line in lines if "loss" in line]
    assert lines[0] == {"max_steps": 12, "num_train_epochs": 4}
    assert sum("max_steps" in line for line in lines) == 1 and callback.report is not None
    assert callback.report["state"] == "finished"
    # 24 rows in batches of 4 x 2: 3 steps an epoch, 4 epochs. Every answer of a step is counted once.
    assert [line["step"] for line in steps] == list(range(1, 13))
    targets = sum(sum(label != IGNORE for label in row["labels"][1:]) for row in rows)
    assert sum(line["target_tokens"] for line in steps) == 4 * targets
    # The Trainer's own log, step by step, is the oracle; it rounds.
    logged = {one["step"]: float(one["loss"]) for one in trainer.state.log_history if "loss" in one}
    for line in steps:
        assert line["loss"] == pytest.approx(logged[line["step"]], abs=2e-3)
    rates = {one["step"]: float(one["learning_rate"]) for one in trainer.state.log_history if "loss" in one}
    assert steps[5]["learning_rate"] == pytest.approx(rates[6], rel=1e-3)
    assert callback.report is not None and callback.report["num_evaluations"] == 6
    assert told[-1].endswith(f"lorascope diagnose {tmp_path / 'out' / 'lorascope.jsonl'}")


def test_the_gradient_is_told_as_it_was_before_it_was_clipped(alpaca_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base))
    callback = LorascopeCallback(tell=lambda line: None)
    trainer = trainer_of(
        alpaca_base, tmp_path, rows, callback, max_grad_norm=0.01, logging_steps=2, num_train_epochs=2
    )
    trainer.train()
    steps = [one for one in lines_of(tmp_path / "lorascope.jsonl") if "loss" in one]
    logged = {one["step"]: one["grad_norm"] for one in trainer.state.log_history if "grad_norm" in one}
    assert sorted(logged) == [2, 4, 6]  # the Trainer's own, of the steps that it logs
    assert {one["step"]: one["grad_norm"] for one in steps if one["step"] in logged} == logged
    assert len(steps) == 6 and min(one["grad_norm"] for one in steps) > 0.02  # twice what it is clipped to
    assert not {"training_step", "_get_grad_norm"} & vars(trainer).keys()  # the Trainer is as it was


def test_the_loss_is_the_one_that_is_trained_on_whatever_computes_it(
    alpaca_base: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base))
    callback = LorascopeCallback(tell=lambda line: None)
    trainer = trainer_of(
        alpaca_base, tmp_path / "smooth", rows, callback, label_smoothing_factor=0.1, num_train_epochs=2
    )
    trainer.train()
    steps = [one for one in lines_of(tmp_path / "smooth" / "lorascope.jsonl") if "loss" in one]
    logged = {one["step"]: float(one["loss"]) for one in trainer.state.log_history if "loss" in one}
    targets = sum(sum(label != IGNORE for label in row["labels"][1:]) for row in rows)
    assert sum(one["target_tokens"] for one in steps) == 2 * targets
    for one in steps:  # the model was not given the labels, and has no loss of its own
        assert one["loss"] == pytest.approx(logged[one["step"]], abs=2e-3)

    told: list[str] = []
    trainer = trainer_of(alpaca_base, tmp_path / "nan", rows, LorascopeCallback(tell=told.append))
    compute = trainer.compute_loss

    def broken(*given: Any, **named: Any) -> Any:
        loss = compute(*given, **named)
        is_fifth = trainer.model.training and trainer.state.global_step == 4
        return loss * math.nan if is_fifth else loss

    trainer.compute_loss = broken
    trainer.train()
    log = open_log(tmp_path / "nan" / "lorascope.jsonl")
    assert log.train.loss_not_finite.tolist() == [False] * 4 + [True]
    assert any("verdict: non finite" in line for line in told) and trainer.state.global_step == 5


def test_looking_at_the_batches_changes_nothing(alpaca_base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base))
    weights = []
    for name, callback in (("with", LorascopeCallback(tell=lambda line: None)), ("without", None)):
        trainer = trainer_of(alpaca_base, tmp_path / name, rows, callback)
        trainer.train()
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("fault", "said", "must"),
    [
        ({"masked": True}, "24 of 24 rows train nothing at all", "every row has targets"),
        ({"stop": False}, "24 of 24 rows never train the stop token", "the last target is a stop token"),
        ({"stop": False, "plain": 24}, "24 of 24 rows never train", "the last target is a stop token"),
        ({"plain": 23}, "23 of 24 rows mask nothing", "prompt text is not supervised"),
        # 24 rows without an end, 23 that mask nothing: the reason is that of the fault that is told.
        ({"stop": False, "plain": 23}, "24 of 24 rows never train", "the last target is a stop token"),
        ({"masked": True, "plain": 23}, "23 of 24 rows mask nothing", "prompt text is not supervised"),
    ],
)
def test_batches_that_teach_the_wrong_thing_stop_before_step_one(
    alpaca_base: Path, tmp_path: Path, fault: dict[str, Any], said: str, must: str
) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base), **fault)
    trainer = trainer_of(alpaca_base, tmp_path, rows, LorascopeCallback(tell=lambda line: None))
    with pytest.raises(DataError, match=said) as error:
        trainer.train()
    assert trainer.state.global_step == 0
    assert parts(str(error.value))["why"] == f"it must hold that {must}"


def test_a_training_on_plain_text_goes_on_after_one_line(alpaca_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    told: list[str] = []
    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base), plain=24)
    callback = LorascopeCallback(tell=told.append)
    trainer = trainer_of(alpaca_base, tmp_path, rows, callback, num_train_epochs=1)
    trainer.train()
    assert trainer.state.global_step == 3 and callback.checked is not None
    made = {one["name"]: one["passed"] for one in callback.checked["checks"]}
    assert made["prompt_masked"] is None and made["stop_token"] and made["padding"]
    said = [line for line in told if "every token of all 24 rows is a target" in line]
    assert len(said) == 1 and "right for plain text and for continued pretraining" in said[0]
    assert "completion_only_loss" in said[0] and "assistant_only_loss" in said[0]


def test_padding_that_is_learnt_is_refused_on_plain_text_too(alpaca_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base), plain=24)
    rows[1]["input_ids"], rows[1]["labels"] = [*rows[1]["input_ids"], 0, 0], [*rows[1]["labels"], 0, 0]
    rows[1]["attention_mask"] = [*rows[1]["attention_mask"], 0, 0]
    trainer = trainer_of(alpaca_base, tmp_path, rows, LorascopeCallback(tell=lambda line: None))
    with pytest.raises(DataError, match="1 of 24 rows train on padding"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_step_that_is_not_finite_is_told_and_never_made(alpaca_base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    told: list[str] = []
    rows = rows_for(AutoTokenizer.from_pretrained(alpaca_base))
    trainer = trainer_of(
        alpaca_base, tmp_path, rows, LorascopeCallback(tell=told.append), gradient_accumulation_steps=1
    )
    passes = 0

    def break_the_fifth(module: Any, args: Any, output: Any) -> Any:
        nonlocal passes
        passes += module.training
        if module.training and passes == 5:
            output["loss"] = output["loss"] * math.nan
        return output

    trainer.model.register_forward_hook(break_the_fifth)
    trainer.train()
    assert trainer.state.global_step == 5
    assert any("step 5 is not finite" in line for line in told)
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    log = open_log(tmp_path / "lorascope.jsonl")
    assert log.train.loss_not_finite.tolist() == [False, False, False, False, True]
    assert any("verdict: non finite" in line for line in told)
    # 24 rows in batches of 4: 6 steps an epoch, 4 epochs; it was asked to end after the 5th.
    assert lines_of(tmp_path / "lorascope.jsonl")[0]["max_steps"] == 24 and log.facts.max_steps == 5


def test_a_training_that_overfits_ends_where_it_is_asked_to(alpaca_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from lorascope.integrations import LorascopeCallback

    tokenizer = AutoTokenizer.from_pretrained(alpaca_base)
    told: list[str] = []
    callback = LorascopeCallback(tell=told.append, stop_on=("overfitting",))
    rows = rows_for(tokenizer, 16)
    others = [
        {
            **row,
            "labels": [
                IGNORE if label == IGNORE else (label * 7 + 11) % len(tokenizer) for label in row["labels"]
            ],
        }
        for row in rows
    ]
    trainer = trainer_of(
        alpaca_base,
        tmp_path,
        rows,
        callback,
        num_train_epochs=60,
        gradient_accumulation_steps=1,
        eval_steps=8,
    )
    trainer.eval_dataset = others
    trainer.train()
    assert trainer.state.global_step < 60 * 4
    assert any("training ends here, overfitting" in line for line in told)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TRL's own
def test_sft_trainer_of_trl_takes_it_too(chat_base: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from lorascope.integrations import LorascopeCallback

    told: list[str] = []
    talks = [
        {
            "prompt": [{"role": "user", "content": f"Say number {number}."}],
            # Of different lengths: a mean of the passes' means is not the mean over the tokens.
            "completion": [
                {"role": "assistant", "content": f"It is {number}." + " Yes." * (number % 4) ** 2}
            ],
        }
        for number in range(16)
    ]
    callback = LorascopeCallback(tell=told.append, refuse=False)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(chat_base),
        args=SFTConfig(
            output_dir=str(tmp_path),
            max_steps=4,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list(talks),
        processing_class=AutoTokenizer.from_pretrained(chat_base),
        callbacks=[callback],
    )
    trainer.train()
    steps = [line for line in lines_of(tmp_path / "lorascope.jsonl") if "loss" in line]
    logged = {one["step"]: float(one["loss"]) for one in trainer.state.log_history if "loss" in one}
    assert len(steps) == 4 and callback.checked is not None
    for line in steps:
        assert line["loss"] == pytest.approx(logged[line["step"]], abs=2e-4) and line["target_tokens"] > 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TRL's own
@pytest.mark.parametrize("kind", ["text", "messages", "prompt and completion"])
def test_sft_trainer_is_told_where_its_defaults_learn_prompts_too(
    kind: str, chat_base: Path, tmp_path: Path
) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from lorascope.integrations import LorascopeCallback

    def row(number: int) -> dict[str, Any]:
        asked = {"role": "user", "content": f"Say number {number}."}
        answered = {"role": "assistant", "content": f"It is {number}."}
        return {
            "text": {"text": f"Question: say number {number}.\nAnswer: it is {number}."},
            "messages": {"messages": [asked, answered]},
            "prompt and completion": {"prompt": [asked], "completion": [answered]},
        }[kind]

    told: list[str] = []
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(chat_base),
        args=SFTConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=2,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list([row(number) for number in range(8)]),
        processing_class=AutoTokenizer.from_pretrained(chat_base),
        callbacks=[LorascopeCallback(tell=told.append)],
    )
    if kind == "messages":  # worded by the chat template, so it is known that they have prompts
        with pytest.raises(DataError, match="8 of 8 rows train on their prompt"):
            trainer.train()
        return
    trainer.train()
    said = [line for line in told if "every token of all 8 rows is a target" in line]
    assert trainer.state.global_step == 1 and len(said) == (kind == "text")


@pytest.mark.parametrize(("shown", "ends"), [(True, True), (False, False)])
def test_a_rise_that_is_not_shown_to_be_overfitting_does_not_end_a_training(
    monkeypatch: pytest.MonkeyPatch, shown: bool, ends: bool
) -> None:
    from types import SimpleNamespace

    from lorascope.integrations import LorascopeCallback

    callback = LorascopeCallback(tell=lambda line: None, stop_on=("overfitting",))
    finding = {"rule": "overfitting", "evidence": {"shown": shown}}
    callback.report = {"findings": [finding], "verdict_reason": ""}
    monkeypatch.setattr(callback, "_judge", lambda: None)
    monkeypatch.setattr(callback, "_write", lambda entry: None)
    control = SimpleNamespace(should_training_stop=False)
    callback.on_evaluate(SimpleNamespace(device="cpu"), SimpleNamespace(global_step=2, epoch=1.0), control)
    assert control.should_training_stop is ends
