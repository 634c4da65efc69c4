"""report.html: whole, self-contained, true to the run's files, and made from whatever stages there are."""

import json
import shutil
from pathlib import Path
from typing import Any

import html5lib
import pytest

from lorascope.check.stage import check_run
from lorascope.diagnose.run_evidence import read_evidence
from lorascope.pipeline import report_current
from lorascope.prepare.stage import prepare_run
from lorascope.report.facts import gather_facts
from lorascope.report.sentences import five_sentences, model_name
from lorascope.report.stage import report_run
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer
from lorascope.run.recipe import make_recipe
from lorascope.run.records import read_evals
from lorascope.train.stage import train_run

pytestmark = pytest.mark.end_to_end


def _page(run: RunFolder) -> Any:
    return html5lib.HTMLParser(strict=False, namespaceHTMLElements=False).parse(
        report_run(run).read_text("utf-8")
    )


def _text(page: Any) -> str:
    return " ".join("".join(page.itertext()).split())


def _copy(run: RunFolder, to: Path) -> RunFolder:
    shutil.copytree(run.path, to / "copy")
    return RunFolder(to / "copy")


def test_the_page_opens_with_five_sentences_that_name_the_numbers(finished_run: Any) -> None:
    facts = gather_facts(finished_run)
    sentences = five_sentences(facts)
    assert len(sentences) == 5
    assert "36 examples of rows.json" in sentences[0]
    assert "12 steps, 2 passes" in sentences[0]
    assert "24 examples that training never saw" in sentences[1]
    text = _text(_page(finished_run))
    assert all(" ".join(sentence.split()) in text for sentence in sentences)


def test_every_section_of_a_finished_run_is_there(finished_run: Any) -> None:
    ids = {node.get("id") for node in _page(finished_run).iter("section")}
    wanted = "short findings curves metrics generations divergences data trained export origin"
    assert set(wanted.split()) <= ids


def test_the_health_score_is_told_in_the_words_of_diagnose(finished_run: Any) -> None:
    report = json.loads((finished_run.stage("diagnose") / "report.json").read_text())
    assert f"Health: {report['health']['told']}." in _text(_page(finished_run))


def test_nothing_on_the_page_comes_from_elsewhere(finished_run: Any) -> None:
    page = _page(finished_run)
    for node in page.iter():
        for name in ("src", "href", "action", "srcset"):
            target = node.get(name) if isinstance(node.tag, str) else None
            assert target is None or target.startswith(("#", "data:")), (node.tag, target)


@pytest.mark.parametrize("stage", ["eval", "compare", "export", "diagnose", "train", "check"])
def test_a_stage_that_has_not_run_is_left_out_and_its_command_named(
    finished_run: Any, tmp_path: Path, stage: str
) -> None:
    run = _copy(finished_run, tmp_path)
    shutil.rmtree(run.stage(stage))
    text = _text(_page(run))
    named = {"eval": "lorascope eval", "diagnose": "lorascope diagnose", "train": "not been trained"}
    assert named.get(stage, "In short") in text


def test_hostile_text_in_the_data_is_shown_as_text(finished_run: Any, tmp_path: Path) -> None:
    run = _copy(finished_run, tmp_path)
    report = json.loads(run.prepare_report.read_text())
    report["file"] = "<script>alert(1)</script>.json"
    run.prepare_report.write_text(json.dumps(report))
    page = _page(run)
    assert "<script>alert(1)</script>.json" in _text(page)
    assert not any("alert(1)" in (node.text or "") for node in page.iter("script"))


def test_lines_of_its_logs_that_cannot_be_read_are_to_be_kept_in_mind(
    finished_run: Any, tmp_path: Path
) -> None:
    run = _copy(finished_run, tmp_path)
    for path in (run.evals, run.steps):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([lines[0], "torn\n", *lines[2:]]))
    text = _text(_page(run))
    for name in ("evals", "steps"):
        assert f"train/{name}.jsonl is damaged: line 2 cannot be read and was passed over" in text


def test_steps_and_the_evaluation_that_its_logs_lack_are_told_in_the_words_of_diagnose(
    finished_run: Any, tmp_path: Path
) -> None:
    run = _copy(finished_run, tmp_path)  # 12 steps, the last one evaluated
    lines = run.steps.read_text().splitlines(keepends=True)
    run.steps.write_text("".join([*lines[:3], *lines[5:]]))
    run.evals.write_text("".join(run.evals.read_text().splitlines(keepends=True)[:-1]))
    told = (
        "train/steps.jsonl lacks 2 of the lines of 12 steps, the first is that of step 4",
        "train/evals.jsonl lacks the last evaluation, that after step 12",
    )
    assert f"To keep in mind: {'; '.join(told)}; " in _text(_page(run))
    assert read_evidence(run).problems == told


def test_a_training_that_goes_on_is_not_called_stopped(finished_run: Any, tmp_path: Path) -> None:
    run = _copy(finished_run, tmp_path)
    run.train_summary.unlink()
    with only_writer(run):
        going = _text(_page(RunFolder(report_current(run).parent)))
    assert "its training has come to step 12." in going and "is finished: lorascope" not in going
    interrupted = _text(_page(RunFolder(report_current(run).parent)))
    assert "its training stopped after step 12." in interrupted
    assert "is finished: lorascope train --resume." in interrupted


def test_a_run_that_stopped_at_a_bad_number_says_so_first(finished_run: Any, tmp_path: Path) -> None:
    run = _copy(finished_run, tmp_path)
    failure = {
        "step": 7,
        "last_good_step": 6,
        "message": "the loss is not finite\n  where: x",
        "example_ids": [],
    }
    run.train_failure.write_text(json.dumps(failure))
    assert "Training stopped before step 7: the loss is not finite." in _text(_page(run))


def test_a_base_is_called_by_a_name_that_says_something() -> None:
    assert model_name("gpt2") == "gpt2"
    assert model_name("meta-llama/Llama-3.1-8B") == "meta-llama/Llama-3.1-8B"
    assert model_name("/models/tiny-llama") == "tiny-llama"
    assert model_name("/a/starter/base") == "starter/base"


def test_a_mixture_shows_the_loss_of_each_source(alpaca_base: Path, tmp_path: Path) -> None:
    for name in ("poems", "code"):
        rows = [{"instruction": f"{name} {n}?", "output": f"It is {name}{n}."} for n in range(20)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    recipe = make_recipe(
        {
            "base": str(alpaca_base),
            "data": [{"path": str(tmp_path / f"{name}.json"), "name": name} for name in ("poems", "code")],
            "lora": {"target_modules": ["c_attn"]},
            "train": {"epochs": 1, "eval_steps": 2},
        }
    )
    run = RunFolder(tmp_path / "run")
    prepare_run(run, recipe)
    check_run(run, recipe)
    train_run(run, recipe)
    last = read_evals(run.evals)[-1]
    assert last.validation is not None and set(last.validation.by_source or ()) == {"poems", "code"}
    assert "Loss by data source, validation" in _text(_page(run))
