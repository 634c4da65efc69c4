"""The model card: its code runs, its wording is the prompt's, its losses are those of this adapter."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.export.card import shown_base
from lorascope.lm.generate import Decoding, generate
from lorascope.lm.load import load_base, load_tokenizer
from lorascope.lm.template_record import load_template
from lorascope.run.current import recipe_of
from lorascope.run.message import Message

pytestmark = pytest.mark.end_to_end


def test_the_code_on_the_card_answers_as_lorascope_does(
    exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, target = exported.run, exported.target
    code = re.search(r"```python\n(.*?)\n```", (target / "README.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(target.parent)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code[1], {})
    tokenizer = load_tokenizer(str(exported.base))
    template = load_template(run.template, tokenizer)
    prompt = template.encode_prompt([Message(role="user", content="List three colours.")])
    model = load_base(str(target))
    answer = generate(model, tokenizer, [prompt], Decoding(max_new_tokens=128), stop_ids=template.stop_ids)[0]
    assert printed.getvalue().rstrip("\n") == tokenizer.decode(
        answer.token_ids, skip_special_tokens=True
    ).rstrip("\n")


def test_the_generation_config_stops_where_training_taught_it_to(exported: Any) -> None:
    run, report = exported.run, exported.report
    stored = json.loads((exported.target / "generation_config.json").read_text())
    assert stored["eos_token_id"] == report["stop_ids"] == json.loads(run.template.read_text())["stop_ids"]
    assert "temperature" not in stored and "do_sample" not in stored


def test_the_card_shows_the_prompt_as_it_was_trained(exported: Any) -> None:
    card = (exported.target / "README.md").read_text()
    if exported.report["stop_tokens"][0] == "<|im_end|>":  # the chat model
        assert "<|im_start|>user\n{instruction}<|im_end|>\n<|im_start|>assistant\n" in card
        assert "`<|im_end|>`" in card and "apply_chat_template(messages" in card
        return
    assert (
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\n{instruction}\n\n### Response:\n" in card
    )
    assert "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n" in card
    assert "`<|endoftext|>` (id 0)" in card


def test_losses_stand_on_the_card_only_if_they_are_this_adapters(
    alpaca_base: Path,
    adapted_run: Callable[..., Any],
    export: Callable[..., Any],
    random_adapter: Callable[..., None],
    tmp_path: Path,
) -> None:
    from lorascope.eval.stage import eval_run

    run = adapted_run(alpaca_base)
    measured = eval_run(run, recipe_of(run))
    export(run)
    card = (tmp_path / "merged" / "README.md").read_text()
    interval = measured["adapter"]["eval_loss_interval"]
    assert f"{measured['adapter']['eval_loss']:.4f} ({interval['low']:.4f} to {interval['high']:.4f})" in card
    random_adapter(alpaca_base, tmp_path / "other-adapter", seed=5)
    export(run, adapter=str(tmp_path / "other-adapter"), merged=tmp_path / "second")
    assert "Not measured" in (tmp_path / "second" / "README.md").read_text()


def test_a_local_base_is_shown_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    assert shown_base(str(tmp_path / "tiny")) == "tiny"
    assert shown_base("Qwen/Qwen2.5-0.5B") == "Qwen/Qwen2.5-0.5B"
