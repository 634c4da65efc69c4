import importlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from lorascope.cli.compare import lines_of
from lorascope.compare.passages import Passages
from lorascope.compare.stage import compare_run
from lorascope.compare.unrelated import MOST_TOKENS, measure_unrelated, passage_examples
from lorascope.errors import DataError, RunError
from lorascope.lm.score import score_examples
from lorascope.run.current import recipe_of
from lorascope.run.dataset import IGNORE
from lorascope.run.recipe import make_recipe

pytestmark = pytest.mark.end_to_end

TEXTS = tuple(
    f"Passage {number} says that {' and '.join(['rain'] * (number % 7 + 1))} fell." for number in range(24)
)
PASSAGES = Passages(source="own.txt", texts=TEXTS)


def plain_losses(base: Path, adapter: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Summed nats and tokens of each passage by transformers and peft alone, one at a time, in float64."""
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if adapter is not None:
        with pytest.warns(FutureWarning):  # peft reads an attribute that transformers renamed
            model = peft.PeftModel.from_pretrained(model, adapter)
    model = model.double().eval()
    sums, counts = [], []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logit_TV = model(input_ids=ids).logits[0, :-1]
        sums.append(float(torch.nn.functional.cross_entropy(logit_TV, ids[0, 1:], reduction="sum")))
        counts.append(ids.shape[1] - 1)  # a beginning-of-text token, where there is one, is only read
    return np.array(sums), np.array(counts)


def test_losses_and_their_paired_difference_are_those_of_transformers(base: Path, pair_of: Any) -> None:
    pair = pair_of(base, b_std=0.5)
    found, why = measure_unrelated(pair, PASSAGES)
    assert found is not None and why is None
    base_N, tokens_N = plain_losses(base, None)
    adapter_N, _ = plain_losses(base, pair.adapter)
    total = tokens_N.sum()
    assert (found["num_passages"], found["num_tokens"], found["from"]) == (24, total, "own.txt")
    assert found["base"]["loss"] == pytest.approx(base_N.sum() / total, rel=1e-5)
    assert found["adapter"]["loss"] == pytest.approx(adapter_N.sum() / total, rel=1e-5)
    assert found["base"]["perplexity"] == pytest.approx(math.exp(base_N.sum() / total), rel=1e-4)
    # The linearised ratio estimator, written out: SE = sqrt(n / (n - 1) sum (d - D t)^2) / sum t.
    d_N = adapter_N - base_N
    difference = d_N.sum() / total
    stderr = math.sqrt(24 / 23 * ((d_N - difference * tokens_N) ** 2).sum()) / total
    half = scipy.stats.t.ppf(0.975, 23) * stderr
    assert found["difference"]["estimate"] == pytest.approx(difference, rel=1e-4)
    assert found["difference"]["low"] == pytest.approx(difference - half, rel=1e-3)
    assert found["difference"]["high"] == pytest.approx(difference + half, rel=1e-3)
    assert found["perplexity_ratio"]["high"] == pytest.approx(math.exp(difference + half), rel=1e-3)


def test_losses_are_those_that_eval_scores(base: Path, pair_of: Any) -> None:
    pair = pair_of(base, b_std=0.5)
    found, _ = measure_unrelated(pair, PASSAGES)
    assert found is not None
    examples = passage_examples(TEXTS, pair.tokenizer, None)
    scores = score_examples(pair.model, examples, pad_id=pair.pad_id)
    assert found["adapter"]["loss"] == pytest.approx(
        scores.nll_sum_N.sum() / scores.num_tokens_N.sum(), rel=1e-6
    )


def test_an_adapter_that_changes_nothing_has_forgotten_nothing(base: Path, pair_of: Any) -> None:
    found, _ = measure_unrelated(pair_of(base, b_std=0), PASSAGES)
    assert found is not None
    assert found["base"] == found["adapter"]
    assert (found["difference"]["low"], found["difference"]["high"]) == (0, 0)
    assert found["perplexity_ratio"]["estimate"] == 1
    assert found["kl_base_adapter"]["mean"] == found["kl_adapter_base"]["mean"] == 0
    assert found["top1_agreement"]["mean"] == 1
    assert not found["base_can_read"]  # random weights lose ln(vocabulary)


def test_nineteen_passages_are_too_few_and_false_switches_off(alpaca_base: Path, pair_of: Any) -> None:
    pair = pair_of(alpaca_base)
    few = Passages(source="few.txt", texts=(*TEXTS[:19], "x"))  # one token, which nothing predicts
    found, why = measure_unrelated(pair, few)
    assert found is None and why is not None
    assert why.startswith("19 passages with tokens to score in few.txt; 20 are needed")
    assert measure_unrelated(pair, None) == (None, "compare.unrelated is false")


def test_passages_are_cut_and_special_tokens_are_read_but_not_scored(
    chat_tokenizer: Any, alpaca_tokenizer: Any
) -> None:
    text = "The sea is wide. " * 200
    (chat,) = passage_examples([text], chat_tokenizer, None)
    assert chat.num_tokens == MOST_TOKENS and chat.num_target_tokens == MOST_TOKENS - 1
    assert chat.input_ids[0] == chat_tokenizer.bos_token_id and chat.labels[0] == IGNORE
    (plain,) = passage_examples([text], alpaca_tokenizer, 64)  # the context is shorter
    assert plain.num_tokens == 64 and plain.num_target_tokens == 63
    assert plain.input_ids.tolist() == alpaca_tokenizer(text)["input_ids"][:64]
    (ends,) = passage_examples(["One.<|endoftext|>Two."], alpaca_tokenizer, None)
    assert (ends.labels[ends.input_ids == alpaca_tokenizer.eos_token_id] == IGNORE).all()


SMALL = ("compare.prompts=1", "compare.examples=20", "compare.max_new_tokens=2")


@pytest.fixture
def own_text(tmp_path: Path) -> Path:
    path = tmp_path / "own.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    return path


def test_the_report_the_page_and_the_terminal_show_it(
    alpaca_base: Path, run_with_adapter: Any, own_text: Path
) -> None:
    run = run_with_adapter(alpaca_base)
    result = compare_run(run, recipe_of(run, (*SMALL, f"compare.unrelated={own_text}")))
    stored = json.loads((run.stage("compare") / "report.json").read_text(encoding="utf-8"))
    assert stored["unrelated"] == result["unrelated"] and stored["unrelated_why"] is None
    page = (run.stage("compare") / "compare.html").read_text(encoding="utf-8")
    assert "On unrelated text" in page and "The base cannot read this text" in page
    line = next(line for line in lines_of(result, None, 100) if line.startswith("unrelated text"))
    assert line.startswith("unrelated text (own.txt, 24 passages, ") and "the base cannot read it" in line
    result["unrelated"] = readable(result["unrelated"])
    line = next(line for line in lines_of(result, None, 100) if line.startswith("unrelated text"))
    assert "perplexity 20 -> 25, +25.0% (95 % interval +20.0% to +30.0%)" in line


def readable(measured: dict[str, Any]) -> dict[str, Any]:
    return {
        **measured,
        "base_can_read": True,
        "base": {"loss": math.log(20), "perplexity": 20.0},
        "adapter": {"loss": math.log(25), "perplexity": 25.0},
        "perplexity_ratio": {"estimate": 1.25, "low": 1.2, "high": 1.3},
    }


def test_switched_off_stands_in_the_report_with_its_reason(alpaca_base: Path, run_with_adapter: Any) -> None:
    run = run_with_adapter(alpaca_base)
    result = compare_run(run, recipe_of(run, (*SMALL, "compare.unrelated=false")))
    assert result["unrelated"] is None and result["unrelated_why"] == "compare.unrelated is false"
    assert "unrelated text: not measured, compare.unrelated is false" in lines_of(result, None, 100)
    page = (run.stage("compare") / "compare.html").read_text(encoding="utf-8")
    assert "Unrelated text was not measured: compare.unrelated is false." in page


def test_a_change_of_the_text_makes_the_comparison_stale(
    alpaca_base: Path, run_with_adapter: Any, own_text: Path
) -> None:
    run = run_with_adapter(alpaca_base)
    recipe = recipe_of(run, (*SMALL, f"compare.unrelated={own_text}"))
    first = compare_run(run, recipe)
    assert compare_run(run, recipe) == first  # up to date
    own_text.write_text(own_text.read_text() + "\n\nOne more passage.\n", encoding="utf-8")
    with pytest.raises(RunError, match="unrelated text has changed"):
        compare_run(run, recipe)
    assert compare_run(run, recipe, overwrite=True)["unrelated"]["num_passages"] == 25


def test_a_file_that_is_not_there_is_told_before_anything_is_loaded_or_trained(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorascope.pipeline import run_all
    from lorascope.run.folder import RunFolder
    from lorascope.without_run import compare_without_run

    run = run_with_adapter(alpaca_base)
    stage = importlib.import_module("lorascope.compare.stage")
    monkeypatch.setattr(stage, "pair_of", lambda *a, **k: pytest.fail("loaded"))
    missing = f"compare.unrelated={tmp_path / 'gone.txt'}"
    with pytest.raises(DataError, match="the unrelated text .* cannot be read"):
        compare_run(run, recipe_of(run, (*SMALL, missing)))
    new = RunFolder(tmp_path / "new")
    values = {"base": str(alpaca_base), "data": str(tmp_path / "run.json")}
    recipe = make_recipe({**values, "compare": {"unrelated": str(tmp_path / "gone.txt")}})
    with pytest.raises(DataError, match="the unrelated text .* cannot be read"):
        run_all(new, recipe)
    assert not new.path.exists()
    monkeypatch.setattr(importlib.import_module("lorascope.lm.pair"), "pair_of", stage.pair_of)
    with pytest.raises(DataError, match="the unrelated text .* cannot be read"):
        compare_without_run(
            base=str(alpaca_base),
            adapter=str(run.adapter),
            data=None,
            prompts=None,
            settings=[missing],
        )


def test_a_report_of_an_earlier_version_still_makes_a_page(finished_run: Any, tmp_path: Path) -> None:
    from lorascope.report.stage import report_run
    from lorascope.run.folder import RunFolder

    shutil.copytree(finished_run.path, tmp_path / "copy")
    run = RunFolder(tmp_path / "copy")
    path = run.stage("compare") / "report.json"
    assert "On unrelated text" in report_run(run).read_text(encoding="utf-8")
    report = json.loads(path.read_text(encoding="utf-8"))
    del report["unrelated"], report["unrelated_why"]
    path.write_text(json.dumps(report), encoding="utf-8")
    page = report_run(run).read_text(encoding="utf-8")
    assert "How far apart they are" in page and "On unrelated text" not in page
