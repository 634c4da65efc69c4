"""What `watch` shows of a training that goes on."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from lorascope.cli.app import main
from lorascope.cli.watch import screen_lines
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.glimpse import glimpse, is_over
from lorascope.run.commit import write_json
from lorascope.run.folder import RunFolder
from lorascope.run.records import append_line, rewrite_lines

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import make_evidence, records_of

pytestmark = pytest.mark.end_to_end

FALL = [0.0, -0.2, -0.3, -0.35, -0.37, -0.38, -0.385]


def run_at(folder: Path, evidence: Evidence, step: int) -> RunFolder:
    """A run of 60 steps as it lies on disk after some of them."""
    run = RunFolder(folder)
    write_json(run.config, {"base": {"id": "gpt2"}, "data": "rows.json", "train": {"epochs": 0.6}})
    run.stage("train").mkdir(exist_ok=True)
    rewrite_lines(run.steps, [one for one in records_of(evidence.steps) if one.step <= step])
    rewrite_lines(run.evals, [one for one in evidence.evals if one.step <= step])
    return run


def test_a_run_without_a_step_is_waited_for(tmp_path: Path) -> None:
    write_json(RunFolder(tmp_path / "run").config, {})
    (tmp_path / "run" / "prepare").mkdir()
    seen = glimpse(tmp_path / "run")
    assert seen.state == "waiting" and not is_over(seen)


def test_step_loss_speed_and_time_left_are_those_of_the_log(tmp_path: Path) -> None:
    evidence = make_evidence(FALL, FALL)  # 60 steps of 1,000 target tokens and one second, epoch = step / 100
    seen = glimpse(run_at(tmp_path / "run", evidence, 40).path)
    assert (seen.step, seen.num_steps, seen.state) == (40, 60, "unfinished")
    assert seen.epoch == pytest.approx(0.40) and seen.loss == pytest.approx(evidence.steps.loss[39])
    assert seen.target_tokens_per_s == pytest.approx(1000) and seen.usual_tokens_per_s == pytest.approx(1000)
    # 20 steps of one second, and evaluations that took 5 seconds in 40 steps: 20 * (1 + 5 / 40).
    assert seen.seconds_left == pytest.approx(22.5)
    assert [one.step for one in seen.moments] == [0, 10, 20, 30, 40]


def test_a_slower_machine_is_told_against_its_usual_speed(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 60)
    slow = [
        dataclasses.replace(one, seconds=2.0 if one.step > 40 else 1.0)
        for one in records_of(make_evidence(FALL, FALL).steps)
    ]
    rewrite_lines(run.steps, slow)
    seen = glimpse(run.path)
    assert seen.target_tokens_per_s == pytest.approx(500) and seen.usual_tokens_per_s == pytest.approx(1000)
    assert any("50% of its usual" in line for line in screen_lines(seen, 120, 40, colour=False))


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 40)
    with run.steps.open("a") as file:
        file.write('{"step": 41, "epo')
    assert glimpse(run.path).step == 40
    append_line(run.steps, records_of(make_evidence(FALL, FALL).steps)[40])
    assert glimpse(run.path).step == 41


def test_a_log_of_another_trainer_is_watched_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    assert glimpse(path).state == "waiting"
    lines = [{"step": step, "loss": 2.0 * 0.99**step} for step in range(1, 51)]
    lines += [{"step": 50, "eval_loss": 1.5}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    seen = glimpse(path)
    assert seen.step == 50 and seen.moments[-1].validation == 1.5 and seen.state == "unknown"


@pytest.mark.parametrize(("width", "height"), [(100, 40), (60, 24), (40, 20), (24, 10)])
def test_the_screen_fits_every_terminal(tmp_path: Path, width: int, height: int) -> None:
    seen = glimpse(run_at(tmp_path / "run", make_evidence(FALL, FALL), 60).path)
    lines = screen_lines(seen, width, height, colour=False)
    assert max(map(len, lines)) <= width and len(lines) <= height
    assert lines[0].endswith("step 60 of 60") or "step 60" in lines[0] or width < 60


def test_in_a_file_each_evaluation_is_a_line_and_the_end_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 60)
    write_json(run.train_summary, {"schema": 1, "steps": 60, "best_step": 60})
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(run.path)])
    shown = capsys.readouterr().out.splitlines()
    assert not stopped.value.code
    assert [line.split(":")[0] for line in shown[:7]] == [f"step {step}" for step in range(0, 61, 10)]
    assert "validation" in shown[0] and "ppl" in shown[0]
    assert shown[-1] == f"next: lorascope diagnose {run.path}" and "finished" in shown[-2]


def test_the_losses_beside_a_logs_evaluations_are_called_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"step": step, "loss": 2.0, **({"eval_loss": 1.5} if step % 5 == 0 else {})} for step in range(1, 31)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(SystemExit):
        main(["watch", str(tmp_path / "log.jsonl"), "--once"])
    shown = capsys.readouterr().out
    assert "step 5: training 2.000" in shown and "train probe" not in shown


def test_in_a_file_what_is_waited_for_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").touch()
    with pytest.raises(SystemExit):
        main(["watch", str(tmp_path / "log.csv"), "--once"])
    assert "waiting, the log is empty" in capsys.readouterr().out


def test_a_wrong_path_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(tmp_path / "nothing")])
    assert stopped.value.code == 1 and "nothing" in capsys.readouterr().err


def test_a_loss_of_preferences_is_watched_without_perplexity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"step": step, "loss": 0.7, "rewards/margins": 0.1} for step in range(1, 21)]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(one) + "\n" for one in [*lines, {"step": 20, "eval_loss": 0.6}]))
    assert not glimpse(log).of_tokens
    with pytest.raises(SystemExit):
        main(["watch", str(log), "--once"])
    shown = capsys.readouterr().out
    assert "validation 0.600" in shown and "ppl" not in shown
