"""diagnose on run folders: finished, unfinished, failed, resumed, empty, damaged."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.cli.app import main
from lorascope.diagnose import run_evidence
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.rules import diagnose
from lorascope.diagnose.run_evidence import read_evidence
from lorascope.diagnose.stage import diagnose_run
from lorascope.errors import NothingLogged, RunError
from lorascope.run.commit import write_json
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer
from lorascope.run.provenance import read_provenance
from lorascope.run.records import rewrite_lines

from .synthetic import records_of

pytestmark = pytest.mark.end_to_end

Synthetic = Callable[..., Evidence]
Written = Callable[..., RunFolder]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write evidence as training leaves it: written(evidence, finished=True)."""

    def write(evidence: Evidence, *, finished: bool = True, name: str = "run") -> RunFolder:
        run = RunFolder(tmp_path / name)
        write_json(run.config, {"base": {"id": "gpt2"}, "data": "rows.json"})
        run.stage("train").mkdir()
        rewrite_lines(run.steps, records_of(evidence.steps))
        rewrite_lines(run.evals, list(evidence.evals))
        if finished:
            run.adapter.mkdir()
            write_json(run.train_summary, {"schema": 1, "steps": len(evidence.steps), "best_step": None})
        return run

    return write


def test_a_finished_run_is_read_as_it_was_logged(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    evidence = synthetic(falling_curve(9), falling_curve(9))
    run = written(evidence)
    found = read_evidence(run)
    assert (found.evals, found.state) == (evidence.evals, "finished")
    for column in dataclasses.fields(found.steps):
        np.testing.assert_array_equal(
            getattr(found.steps, column.name), getattr(evidence.steps, column.name), err_msg=column.name
        )
    assert found.adapters == {"last": 80}
    report = diagnose_run(run)
    assert json.loads((run.stage("diagnose") / "report.json").read_text()) == report
    assert read_provenance(run)["stages"]["diagnose"]["verdict"] == report["verdict"]


def test_an_adapter_that_eval_measured_otherwise_than_training_is_found(
    finished_run: Any, tmp_path: Path
) -> None:
    shutil.copytree(finished_run.path, tmp_path / "copy")
    run = RunFolder(tmp_path / "copy")
    report = diagnose_run(run)
    assert not [one for one in report["findings"] if one["rule"] == "rescored"]
    assert not [
        one for one in report["rules_not_run"] if one["rule"] == "rescored"
    ]  # it ran, and all is well
    path = run.stage("eval") / "adapter.json"
    measured = json.loads(path.read_text())
    write_json(path, {**measured, "eval_loss": measured["eval_loss"] * 1.001})
    (found,) = [one for one in diagnose_run(run)["findings"] if one["rule"] == "rescored"]
    assert found["severity"] == "warn"


def test_the_report_is_always_made_again(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    evidence = synthetic(falling_curve(9), falling_curve(9))
    run = written(dataclasses.replace(evidence, evals=evidence.evals[:3]))
    assert diagnose_run(run)["num_evaluations"] == 3
    rewrite_lines(run.evals, list(evidence.evals))
    assert diagnose_run(run)["num_evaluations"] == 9


def test_a_training_that_goes_on_is_read_as_far_as_it_goes_and_left_alone(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    run = written(synthetic(falling_curve(9), falling_curve(9)), finished=False)
    with run.evals.open("a") as file:
        file.write('{"step": 90, "epo')  # the line that is being written
    report = diagnose_run(run)
    assert report["state"] == "unfinished" and report["num_evaluations"] == 9
    assert report["step_to_ship"]["adapter"] is None
    assert not run.provenance.exists()  # training writes it at its end; two writers would lose one record


@pytest.mark.parametrize(
    ("goes_on", "how"),
    [
        (True, "let it go on: lorascope watch runs/synthetic"),
        (False, "lorascope train runs/synthetic --resume"),
        (None, "let it go on; if it was interrupted: lorascope train runs/synthetic --resume"),
    ],
)
def test_what_brings_more_evaluations_depends_on_whether_the_training_goes_on(
    synthetic: Synthetic, goes_on: bool | None, how: str
) -> None:
    report = diagnose(synthetic([0.0, -0.1, -0.2], [0.0, -0.1, -0.2], state="unfinished", goes_on=goes_on))
    assert report["missing"][0]["how"] == how


def test_the_next_command_of_an_unfinished_training_depends_on_whether_it_goes_on(
    synthetic: Synthetic, written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = [-0.04 * index for index in range(9)]
    run = written(synthetic(curve, curve), finished=False)

    def told() -> str:
        with pytest.raises(SystemExit):
            main(["diagnose", str(run.path)])
        return " ".join(capsys.readouterr().out.split())

    follow, again = f"lorascope watch {run.path}", f"lorascope train {run.path} --resume"
    assert told().endswith(f"next: {again}")  # nobody can tell
    with only_writer(run):
        going = told()
        assert json.loads((run.stage("diagnose") / "report.json").read_text())["goes_on"] is True
    assert going.endswith(f"next: {follow}")
    assert told().endswith(f"next: {again}")


def test_what_to_do_about_a_run_without_a_step_depends_on_whether_it_goes_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {})
    run.stage("train").mkdir()
    follow, again = f"lorascope watch {run.path}", f"lorascope train {run.path} --resume"
    with only_writer(run), pytest.raises(NothingLogged, match=f"fix:   wait for it: {follow}$"):
        diagnose_run(run)
    with pytest.raises(NothingLogged, match=f"fix:   {again}$"):
        diagnose_run(run)
    run.steps.write_text("garbage\n")  # which no waiting mends
    with pytest.raises(RunError, match=r"train/steps\.jsonl is damaged: line 1 ") as refused:
        diagnose_run(run)
    assert not isinstance(refused.value, NothingLogged)


def failure_at(step: int) -> dict[str, Any]:
    return {"step": step, "last_good_step": step - 1, "message": "the loss is not finite", "example_ids": []}


def test_a_failed_training_says_so(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    run = written(synthetic(falling_curve(6), falling_curve(6)), finished=False)
    write_json(run.train_failure, failure_at(51))
    report = diagnose_run(run)
    assert (report["verdict"], report["state"]) == ("non_finite", "failed")


def test_a_failure_that_a_resumed_training_got_past_is_history(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    run = written(synthetic(falling_curve(6), falling_curve(6)), finished=False)
    write_json(run.train_failure, failure_at(31))  # 50 steps are logged
    assert diagnose_run(run)["verdict"] != "non_finite"


def test_a_training_that_failed_in_its_first_step_is_diagnosed_without_any_log(
    synthetic: Synthetic, written: Written
) -> None:
    run = written(Evidence(run="r"), finished=False)
    write_json(run.train_failure, failure_at(1))
    assert diagnose_run(run)["verdict"] == "non_finite"


def test_the_best_adapter_of_an_unfinished_training_is_the_one_with_the_lowest_loss(
    synthetic: Synthetic, written: Written
) -> None:
    curve = [0.0, -0.3, -0.5, -0.4, -0.3]
    run = written(synthetic(curve, curve), finished=False)
    run.adapter_best.mkdir()
    assert read_evidence(run).adapters == {"best": 20}


def test_a_run_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {})
    with pytest.raises(RunError, match='has not been through "train" yet'):
        diagnose_run(run)
    run.stage("train").mkdir()
    with pytest.raises(RunError, match="nothing to diagnose yet"):
        diagnose_run(run)


def test_a_foreign_log_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {})
    run.stage("train").mkdir()
    run.steps.write_text('{"loss": 1.0}\n')
    with pytest.raises(RunError, match="did not write"):
        diagnose_run(run)


def test_reading_a_run_loads_neither_torch_nor_what_takes_as_long_as_the_reading(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    run = written(synthetic(falling_curve(9), falling_curve(9)))
    code = (
        "import sys; from lorascope.diagnose.stage import diagnose_run; "
        "from lorascope.run.folder import RunFolder; diagnose_run(RunFolder(sys.argv[1] and "
        "__import__('pathlib').Path(sys.argv[1]))); "
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("fail_on", "status"), [(None, 0), ("critical", 0), ("warn", 1), ("info", 1)])
def test_a_finding_of_the_named_severity_is_exit_status_1(
    synthetic: Synthetic,
    written: Written,
    capsys: pytest.CaptureFixture[str],
    fail_on: str | None,
    status: int,
) -> None:
    # A flat run: "not learning" is a warning, and nothing is critical.
    run = written(synthetic([0.0] * 9, [0.0] * 9))
    extra = [] if fail_on is None else ["--fail-on", fail_on]
    with pytest.raises(SystemExit) as stop:
        main(["diagnose", str(run.path), "--json", *extra])
    printed = json.loads(capsys.readouterr().out)
    assert stop.value.code == status and printed["verdict"] == "not_learning"


def test_an_unknown_severity_is_an_explained_error(
    synthetic: Synthetic, written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    run = written(synthetic([0.0] * 9, [0.0] * 9))
    with pytest.raises(SystemExit) as stop:
        main(["diagnose", str(run.path), "--fail-on", "warning"])
    assert stop.value.code == 1 and 'did you mean "warn"?' in capsys.readouterr().err


def test_people_read_the_verdict_first_and_the_next_step_last(
    synthetic: Synthetic, written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = [-0.04 * index for index in range(12)]
    run = written(synthetic(curve, curve))
    with pytest.raises(SystemExit):
        main(["diagnose", str(run.path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("verdict: still improving - ")
    assert "not judged:" in lines and lines[-1] == f"next: lorascope eval {run.path} --adapter last"


def test_lines_that_are_missing_are_told_though_no_line_is_damaged(
    synthetic: Synthetic, falling_curve: Callable[..., list[float]], written: Written
) -> None:
    # Nine evaluations, every ten steps from 0 on: 80 steps.
    evidence = synthetic(falling_curve(9), falling_curve(9))
    run = written(evidence)
    assert read_evidence(run).problems == ()
    steps = [one for one in records_of(evidence.steps) if one.step not in (12, 14, 80)]
    rewrite_lines(run.steps, steps)
    rewrite_lines(run.evals, list(evidence.evals[:-1]))
    assert read_evidence(run).problems == (
        "train/steps.jsonl lacks 3 of the lines of 80 steps, the first is that of step 12",
        "train/evals.jsonl lacks the last evaluation, that after step 80",
    )
    cut = run.evals.read_text() + '{"step": 80, "epo'  # as a damaged disk leaves it
    run.evals.write_text(cut)
    assert "lacks the last evaluation" in read_evidence(run).problems[1]
    run.train_summary.unlink()  # the same in a training that goes on: the line is being written
    assert read_evidence(run).problems == (
        "train/steps.jsonl lacks 2 of the lines of 79 steps, the first is that of step 12",
    )


def test_a_training_that_ends_while_its_logs_are_read_lacks_nothing(
    synthetic: Synthetic,
    falling_curve: Callable[..., list[float]],
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evidence = synthetic(falling_curve(9), falling_curve(9))  # 80 steps, evaluated every ten
    run = written(evidence, finished=False)
    rewrite_lines(run.steps, records_of(evidence.steps)[:79])
    rewrite_lines(run.evals, list(evidence.evals[:-1]))
    read_steps = run_evidence.read_step_log

    def reads(path: Path, broken: list[int]) -> Any:
        steps = read_steps(path, broken)
        rewrite_lines(run.steps, records_of(evidence.steps))
        write_json(run.train_summary, {"schema": 1, "steps": 80, "best_step": None})
        return steps

    monkeypatch.setattr(run_evidence, "read_step_log", reads)
    found = read_evidence(run)
    assert (found.state, found.last_step, found.problems) == ("unfinished", 79, ())
