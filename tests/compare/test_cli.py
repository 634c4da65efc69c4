import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.cli.compare import lines_of

pytestmark = pytest.mark.end_to_end

SMALL = ("--set", "compare.prompts=2", "--set", "compare.examples=8", "--set", "compare.max_new_tokens=4")


def run_command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments])
    assert stop.value.code == 0


def test_compare_shows_answers_divergences_and_the_next_step(
    alpaca_base: Path, run_with_adapter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with_adapter(alpaca_base)
    run_command(str(run.path), *SMALL)
    out = capsys.readouterr().out
    assert "### Instruction:" in out
    assert "KL(base || adapter), nats" in out
    assert "unrelated text (bundled, 48 passages, " in out
    assert "0 trainable parameters is right" in out
    assert "verdict: this adapter is applied and changes the model" in out
    assert f"next: lorascope export {run.path} --merged DIR, or lorascope report {run.path}" in out


def test_json_is_one_object_and_nothing_else(
    alpaca_base: Path, run_with_adapter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with_adapter(alpaca_base)
    run_command(str(run.path), *SMALL, "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"]["kind"] == "changes"
    assert len(result["generations"]) == 4
    assert Path(result["page"]).is_file()


def test_compare_works_without_a_run_and_names_the_template(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with_adapter(alpaca_base)
    models = ["--base", str(alpaca_base), "--adapter", str(run.adapter)]
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Name a sea.\n", encoding="utf-8")
    for source in (
        ["--prompts", str(prompts), "--out", str(tmp_path / "out")],
        ["--data", str(tmp_path / "run.json")],
        ["--data", str(run.dataset), "--set", "prepare.template=alpaca"],
    ):
        run_command(*models, *source, *SMALL, "--json")
        result = json.loads(capsys.readouterr().out)
        assert result["template"]["name"] == "alpaca"
        assert result["verdict"]["kind"] == "changes"
        assert result["run"] is None
    assert (tmp_path / "out" / "compare.html").is_file()


@pytest.mark.parametrize(
    "arguments",
    [[], ["--base", "x"], ["--base", "x", "--adapter", "y"], ["RUN", "--data", "z"], ["RUN", "--out", "z"]],
)
def test_missing_or_contradicting_arguments_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments])
    assert stop.value.code == 2


def test_a_bad_line_of_a_prompts_file_is_one_clear_message(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with_adapter(alpaca_base)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"instruction": "fine"}\n{broken\n', encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(run.path), "--prompts", str(prompts)])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert "line 2: no JSON" in error
    assert "Traceback" not in error


def result_with(text: str) -> dict[str, Any]:
    measure = {"mean": 0.5, "interval": None, "median": None, "p99": None}
    names = ("kl_base_adapter", "kl_adapter_base", "js", "centred_l2", "top1_agreement")
    spread = {"num_positions": 1, "num_examples": 1, **dict.fromkeys(names, measure), "why": {}}
    answer = {"text": text, "num_tokens": 2, "stopped": True}
    row = {
        "prompt_id": "p",
        "prompt": "Q",
        "decoding": "greedy",
        "base": answer,
        "adapter": answer,
        "same": True,
        "reference": None,
    }
    return {
        "base": "b",
        "adapter": "a",
        "precision": "float32",
        "template": {"name": "alpaca", "from": "the run's"},
        "presence": {"num_modules": 1, "num_linear_layers": 1, "by_layer": [], "trainable_why": "0 is right"},
        "divergences": {
            "targets": spread,
            "last_prompt_position": spread,
            "base_against_itself": spread,
        },
        "unrelated": None,
        "unrelated_why": "compare.unrelated is false",
        "verdict": {"sentence": "it changes"},
        "generations": [row],
    }


def test_answers_stand_side_by_side_where_there_is_room_and_one_over_the_other_where_not() -> None:
    wide = lines_of(result_with("word"), None, width=100)
    assert any(line.split() == ["base", "adapter"] for line in wide)
    assert any(line.split() == ["word", "word"] for line in wide)
    narrow = lines_of(result_with("word"), None, width=60)
    assert [line.split() for line in narrow if "word" in line] == [["base", "word"], ["adapter", "word"]]


def test_what_a_model_says_cannot_steer_the_terminal() -> None:
    text = "\n".join(lines_of(result_with("a\x1b[2Jb\rc\u202ed"), None, width=100))
    assert "a[U+001B][2Jb[U+000D]c[U+202E]d" in text
    assert not set(text) & {"\x1b", "\r", "\u202e"}


def test_markup_in_an_answer_stays_text() -> None:
    # rich would take [bold] for a style
    assert "[bold]x[/bold]" in "\n".join(lines_of(result_with("[bold]x[/bold]"), None, width=100))
