"""What is too long is left out, or made to fit by what it can spare; never silently."""

from collections.abc import Callable
from typing import Any

import pytest

from lorascope.check.stage import check_run
from lorascope.cli.prepare import summary
from lorascope.lm.load import load_tokenizer
from lorascope.prepare.truncation import GAP
from lorascope.run.current import recipe_of
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json
from lorascope.run.texts import ExampleText, read_texts

pytestmark = pytest.mark.end_to_end

SHORT = [{"instruction": f"Say {n}.", "output": f"{n}!"} for n in range(6)]
LONG_INPUT = {
    "instruction": "Sum it up.",
    "input": " ".join(f"fact{n}" for n in range(120)),
    "output": "Facts.",
}
LONG_ASK = {"instruction": f"First {'word ' * 120}last?", "output": "Yes."}
LONG_ANSWER = {"instruction": "Count.", "output": " ".join(str(n) for n in range(200))}
LIMIT = 160


@pytest.fixture
def cut(make_run: Callable[..., RunFolder], alpaca_base: Any) -> Any:
    def run(policy: str) -> tuple[RunFolder, dict[str, Any], dict[str, ExampleText], dict[str, Any]]:
        rows = [*SHORT, LONG_INPUT, LONG_ASK, LONG_ANSWER]
        settings = (f"prepare.truncation={policy}", f"prepare.max_length={LIMIT}", "prepare.validation=0")
        folder = make_run(rows, alpaca_base, *settings, name=policy)
        texts = {text.example_id.partition("#")[2]: text for text in read_texts(folder.examples)}
        examples = {e.example_id.partition("#")[2]: e for e in load_examples(folder.dataset, "train")[0]}
        return folder, read_json(folder.prepare_report), texts, examples

    return run


def test_by_default_long_examples_are_left_out_whole(cut: Any) -> None:
    _, report, texts, _ = cut("drop")
    assert set(texts) == {"1", "2", "3", "4", "5", "6"}
    assert report["dropped"]["over_length"] == 3
    assert report["truncation"] == {"policy": "drop", "cut": {}}


def test_a_prompt_is_cut_where_it_can_spare_text_and_the_answer_stays_whole(
    cut: Any, alpaca_base: Any
) -> None:
    run, report, texts, examples = cut("cut_prompt")
    assert set(texts) == {
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
    }  # no prompt makes room for the ninth's answer
    assert report["truncation"]["cut"] == {"train": 2}
    assert report["dropped"]["over_length"] == 1
    for name in ("7", "8"):
        assert texts[name].cut == "prompt"
        assert LIMIT - 12 <= examples[name].num_tokens <= LIMIT  # and little room is wasted
    # The input loses its end; the instruction beside it is whole.
    asked = texts["7"].messages[0]
    assert asked.content == "Sum it up."
    assert LONG_INPUT["input"].startswith(asked.context.strip()) and asked.context.startswith("fact0 fact1")
    # A question loses its middle: what is asked may stand at either end.
    said = texts["8"].messages[0].content
    assert said.startswith("First word") and said.endswith("word last?") and said.count(GAP) == 1
    # The answers end with the stop token, which is a target.
    tokenizer = load_tokenizer(str(alpaca_base))
    for name, answer in (("7", "Facts."), ("8", "Yes.")):
        labels = examples[name].labels[examples[name].labels != IGNORE].tolist()
        assert tokenizer.decode(labels) == f"{answer}{tokenizer.eos_token}"
    assert check_run(run, recipe_of(run))["passed"]
    assert "cut: the prompts of 2 examples, to make them fit (train 2)" in summary(report)


def test_a_cut_answer_does_not_teach_to_stop(cut: Any, alpaca_base: Any) -> None:
    run, report, texts, examples = cut("cut_response")
    # The prompts of the seventh and eighth fill the limit alone: no answer would be left of them.
    assert set(texts) == {"1", "2", "3", "4", "5", "6", "9"}
    assert (report["truncation"]["cut"], report["dropped"]["over_length"]) == ({"train": 1}, 2)
    assert (texts["9"].cut, examples["9"].num_tokens) == ("response", LIMIT)
    tokenizer = load_tokenizer(str(alpaca_base))
    labels = examples["9"].labels[examples["9"].labels != IGNORE].tolist()
    assert labels[-1] != tokenizer.eos_token_id
    assert LONG_ANSWER["output"].startswith(tokenizer.decode(labels))
    assert texts["9"].target_text == tokenizer.decode(labels)
    assert texts["9"].target_bytes == len(texts["9"].target_text)
    assert texts["1"].cut is None
    checked = check_run(run, recipe_of(run))
    (stop,) = [one for one in checked["checks"] if one["name"] == "stop_token"]
    assert (stop["passed"], stop["note"]) == (True, "1 rows were cut and do not teach stopping")


def test_cutting_is_the_same_whatever_the_order_and_leaves_others_as_they_are(cut: Any) -> None:
    _, _, _, whole = cut("drop")
    _, _, _, some = cut("cut_prompt")
    for name in whole:
        assert whole[name].input_ids.tolist() == some[name].input_ids.tolist()
