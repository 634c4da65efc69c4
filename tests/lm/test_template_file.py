"""A chat template of one's own, from a file: trained, saved with the run, and shipped."""

from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import ConfigError
from lorascope.lm.load import load_tokenizer
from lorascope.lm.template import open_template
from lorascope.lm.template_record import load_template
from lorascope.pipeline import run_all
from lorascope.prepare.stage import prepare_run
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
from lorascope.run.records import read_json

WORDING = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'Q: ' + m['content'] + '\\nA: ' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)


@pytest.mark.end_to_end
def test_a_template_of_ones_own_is_trained_saved_and_shipped(
    tmp_path: Path, alpaca_base: Path, alpaca_rows: Any, write_rows: Any
) -> None:
    own = tmp_path / "mine.jinja"
    own.write_text(WORDING)
    values = {
        "base": str(alpaca_base),
        "data": str(write_rows(alpaca_rows(24))),
        "prepare": {"template": str(own), "validation": 4},
        "lora": {"rank": 2},
        "train": {"epochs": 0.5},
    }
    run = RunFolder(tmp_path / "run")
    run_all(run, make_recipe(values), skip=["compare"])
    tokenizer = load_tokenizer(str(alpaca_base))
    example = load_examples(run.dataset, "train")[0][0]
    number = example.example_id.partition("#")[2]
    whole = tokenizer.decode(example.input_ids.tolist())
    said = f"The number is {int(number) - 1}."
    assert whole == f"Q: Say number {int(number) - 1}.\nA: {said}{tokenizer.eos_token}"
    learnt = example.labels[example.labels != IGNORE].tolist()
    assert tokenizer.decode(learnt) == f"{said}{tokenizer.eos_token}"
    assert load_template(run.template, tokenizer).chat_template == WORDING
    assert read_json(run.config)["prepare"]["template"] == str(own)
    for folder in (run.adapter, run.path / "merged"):
        assert load_tokenizer(str(folder)).chat_template == WORDING
    # Another wording in the file is another template: what was made of the first is stale.
    own.write_text(WORDING.replace("Q: ", "Question: "))
    with pytest.raises(Exception, match="template has changed"):
        prepare_run(run, make_recipe(values))


def test_a_file_that_is_no_template_is_named(tmp_path: Path, alpaca_base: Path) -> None:
    tokenizer = load_tokenizer(str(alpaca_base))
    (tmp_path / "mine.jinja").write_text("{% for m in messages %}")
    with pytest.raises(ConfigError, match=r"cannot be read as a chat template(.|\n)*end of template"):
        open_template(str(tmp_path / "mine.jinja"), tokenizer)
    with pytest.raises(ConfigError, match='did you mean "mine.jinja"'):
        open_template(str(tmp_path / "mime.jinja"), tokenizer)


def test_a_name_that_is_neither_is_refused_in_the_recipe() -> None:
    with pytest.raises(ConfigError, match="'alpaca_s1', 'chat', or a file"):
        make_recipe({"base": "gpt2", "data": "x.json", "prepare": {"template": "vicuna"}})
