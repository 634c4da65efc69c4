"""What `watch` shows of a training that goes on."""

import dataclasses
import json
import os
import struct
import sys
import time
from pathlib import Path

import pytest

from lorascope.cli.app import main
from lorascope.cli.watch import Pace, look_again, screen_lines
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.glimpse import glimpse, is_over
from lorascope.run.commit import write_json
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer
from lorascope.run.records import append_line, rewrite_lines

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import make_evidence, records_of

pytestmark = pytest.mark.end_to_end

EVENTS = Path(__file__).parent / "logs" / "written" / "events.out.tfevents.1795316154.writer"
FALL = [0.0, -0.2, -0.3, -0.35, -0.37, -0.38, -0.385]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no resume."""
    monkeypatch.setattr(sys.modules[Pace.__module__], "_RESUME_S", 0.0)


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


def test_the_first_steps_are_no_usual_speed(tmp_path: Path) -> None:
    # The newest 20 steps are measured against those before, of which 10 have to be there.
    for step, usual in ((25, None), (29, None), (30, 1000.0)):
        seen = glimpse(run_at(tmp_path / str(step), make_evidence(FALL, FALL), step).path)
        assert seen.target_tokens_per_s == pytest.approx(1000)
        assert seen.usual_tokens_per_s == (usual if usual is None else pytest.approx(usual))


def test_the_headline_is_broken_between_figures_and_not_within_one(tmp_path: Path) -> None:
    seen = glimpse(run_at(tmp_path / "run", make_evidence(FALL, FALL), 40).path)
    headline = screen_lines(seen, 300, 40, colour=False)[0]
    for width in (100, 80, 60, 50):
        lines = screen_lines(seen, width, 40, colour=False)
        broken = lines[: next(at for at, line in enumerate(lines) if line.endswith(" left")) + 1]
        assert " ".join(line.strip() for line in broken) == headline
        assert all(line.endswith(",") for line in broken[:-1]) and max(map(len, broken)) <= width


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


def test_speed_and_time_left_of_a_log_of_our_callback_are_those_of_its_steps(tmp_path: Path) -> None:
    step = {"loss": 2.0, "target_tokens": 100, "learning_rate": 1e-4, "grad_norm": 1.0, "seconds": 0.5}
    lines = [{"max_steps": 100, "num_train_epochs": 2}]
    lines += [{"step": number, "epoch": number / 50, **step} for number in range(1, 41)]
    lines += [{"step": 40, "epoch": 0.8, "eval_loss": 1.9, "eval_runtime": 8.0}]
    path = tmp_path / "lorascope.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    seen = glimpse(path)
    assert (seen.state, seen.step, seen.num_steps) == ("unfinished", 40, 100)
    assert seen.target_tokens_per_s == seen.usual_tokens_per_s == pytest.approx(200)
    # 60 steps of half a second, and evaluations that took 8 seconds in 40 steps: 60 * (0.5 + 8 / 40).
    assert seen.seconds_left == pytest.approx(42)
    assert "step 40 of 100" in screen_lines(seen, 200, 40, colour=False)[0]
    assert "42 s left" in screen_lines(seen, 200, 40, colour=False)[0]
    then = time.time() - 7200  # nobody trains any more, as it seems
    os.utime(path, (then, then))
    headline = screen_lines(glimpse(path), 200, 40, colour=False)[0]
    assert "last written to 2 h" in headline and " left" not in headline


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


def test_the_last_verdict_in_a_file_is_that_of_the_end_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seen after 40 of 60 steps and then at the end: still improving both times, over other evaluations.
    evidence = make_evidence(FALL, FALL)
    run = run_at(tmp_path / "run", evidence, 40)

    def finish(wait_s: float) -> None:
        run_at(run.path, evidence, 60)
        write_json(run.train_summary, {"schema": 1, "steps": 60, "best_step": 60})

    monkeypatch.setattr(time, "sleep", finish)
    with only_writer(run), pytest.raises(SystemExit):
        main(["watch", str(run.path)])
    shown = capsys.readouterr().out.splitlines()
    told = [line for line in shown if "verdict: still improving" in line]
    assert [line.split(":")[0] for line in told] == ["step 40", "step 60"] and told[-1] == shown[-3]
    assert "since step 10" in told[0] and "since step 30" in told[1]


def test_a_verdict_that_is_still_the_last_word_is_not_said_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 60)
    write_json(run.train_summary, {"schema": 1, "steps": 60, "best_step": 60})
    with pytest.raises(SystemExit):
        main(["watch", str(run.path)])
    assert capsys.readouterr().out.count("verdict: ") == 1


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
    screen = screen_lines(glimpse(tmp_path / "log.jsonl"), 100, 40, colour=False)
    assert "loss by step: t training steps, v validation" in screen


def test_in_a_file_what_is_waited_for_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").touch()
    with pytest.raises(SystemExit):
        main(["watch", str(tmp_path / "log.csv"), "--once"])
    assert (
        capsys.readouterr().out == f"{tmp_path / 'log.csv'}: waiting for the first step (the file is empty)\n"
    )


def test_a_wrong_path_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(tmp_path / "nothing")])
    assert stopped.value.code == 1 and "nothing" in capsys.readouterr().err


def test_a_training_that_was_interrupted_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], impatient: None
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 40)
    with only_writer(run):
        going = glimpse(run.path)
    assert going.state == "unfinished" and going.seconds_left is not None
    seen = glimpse(run.path)
    assert is_over(seen) and seen.seconds_left is None and seen.target_tokens_per_s is None
    for words in ([], ["--once"]):
        with pytest.raises(SystemExit) as stopped:
            main(["watch", str(run.path), *words])
        last, advice = capsys.readouterr().out.splitlines()[-2:]
        assert not stopped.value.code and advice == f"next: lorascope train {run.path} --resume"
        assert "step 40 of 60" in last and last.endswith(", interrupted")


def test_a_training_that_ended_before_its_first_step_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {})
    (tmp_path / "run" / "prepare").mkdir()
    assert glimpse(run.path).state == "waiting"  # nobody has begun
    with only_writer(run):
        assert glimpse(run.path).state == "waiting"
    seen = glimpse(run.path)
    assert seen.state == "not_begun" and is_over(seen)
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(run.path)])
    assert not stopped.value.code
    assert capsys.readouterr().out.splitlines() == [
        f"{run.path}: the training ended before its first step",
        f"next: lorascope train {run.path} --resume",
    ]
    assert screen_lines(seen, 200, 40, colour=False) == [
        f"{run.path}: the training ended before its first step"
    ]
    monkeypatch.setattr("platform.node", lambda: "another")
    assert glimpse(run.path).state == "waiting"  # here nobody can tell


def test_a_training_that_dies_before_its_first_step_while_it_is_watched_ends_the_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {})
    run.stage("train").mkdir()
    held = only_writer(run)
    held.__enter__()
    monkeypatch.setattr("time.sleep", lambda seconds: held.__exit__(None, None, None))
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(run.path)])
    assert not stopped.value.code
    assert capsys.readouterr().out.splitlines() == [
        f"{run.path}: waiting for the first step",
        f"{run.path}: the training ended before its first step",
        f"next: lorascope train {run.path} --resume",
    ]


def left_by(ending: str, folder: Path) -> RunFolder:
    """A run that a process held, and left without finishing it."""
    run = run_at(folder, make_evidence(FALL, FALL), 0 if ending == "not begun" else 40)
    if ending == "not begun":
        for log in (run.steps, run.evals):
            log.unlink()
    if ending == "failed":
        write_json(
            run.train_failure, {"step": 41, "last_good_step": 40, "message": "not finite", "example_ids": []}
        )
    with only_writer(run):
        pass
    return run


@pytest.mark.parametrize("ending", ["interrupted", "failed", "not begun"])
def test_a_resume_that_is_starting_when_the_watch_begins_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    run = left_by(ending, tmp_path / "run")
    held, looks = only_writer(run), iter(range(100))

    def goes_on(seconds: float) -> None:
        look = next(looks)
        if look == 3:  # its libraries are loaded
            held.__enter__()
        if look == 6:
            run.train_failure.unlink(missing_ok=True)
            run_at(run.path, make_evidence(FALL, FALL), 60)
            write_json(run.train_summary, {"schema": 1, "steps": 60, "best_step": 60})
            held.__exit__(None, None, None)

    monkeypatch.setattr("time.sleep", goes_on)
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(run.path)])
    shown = capsys.readouterr().out.splitlines()
    assert not stopped.value.code and next(looks) == 7
    assert shown.count(f"{run.path}: nobody trains it; waiting 60 s for a resume") == 1
    assert ", finished" in shown[-2] and not any("interrupted" in line for line in shown)


@pytest.mark.parametrize("ending", ["interrupted", "failed", "not begun"])
def test_a_resume_that_does_not_come_is_waited_for_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    run, clock = left_by(ending, tmp_path / "run"), [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(run.path), "--every", "1000"])
    shown = capsys.readouterr().out.splitlines()
    assert not stopped.value.code and 60 <= clock[0] <= 61
    assert sum("nobody trains it; waiting 60 s for a resume" in line for line in shown) == 1
    assert sum("lorascope" in line for line in shown) == 1  # what to do next


def test_a_single_look_waits_for_no_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = left_by("interrupted", tmp_path / "run")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    with pytest.raises(SystemExit):
        main(["watch", str(run.path), "--once"])
    shown = capsys.readouterr().out
    assert "nobody trains it" not in shown and ", interrupted\n" in shown


def test_a_training_whose_end_was_watched_is_not_waited_for_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 40)
    held = only_writer(run)
    held.__enter__()
    monkeypatch.setattr("time.sleep", lambda seconds: held.__exit__(None, None, None))
    with pytest.raises(SystemExit):
        main(["watch", str(run.path)])
    shown = capsys.readouterr().out
    assert "nobody trains it" not in shown and ", interrupted\n" in shown


def test_the_screen_counts_down_while_a_resume_is_waited_for(tmp_path: Path) -> None:
    seen = glimpse(left_by("interrupted", tmp_path / "run").path)
    lines = screen_lines(seen, 200, 40, colour=False, waits_s=12.3)
    assert lines[0].endswith("interrupted")
    assert lines[1] == "nobody trains it; waiting 13 s for a resume"


def test_a_failure_that_a_resumed_training_has_not_come_past_yet_does_not_end_the_watch(
    tmp_path: Path,
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 40)
    write_json(
        run.train_failure, {"step": 41, "last_good_step": 40, "message": "not finite", "example_ids": []}
    )
    assert glimpse(run.path).state == "failed"
    with only_writer(run):
        assert glimpse(run.path).state == "unfinished"


NOTHING_YET = {
    "an empty file": ("log.csv", "", "the file is empty"),
    "blank lines": ("train.log", "\n\n", "the file is empty"),
    "a header": ("log.csv", "step,loss,eval_loss\n", "the table has a header and no rows yet"),
    "a header of tabs": ("log.tsv", "step\ttrain/loss\n", "the table has a header and no rows yet"),
    "a line of JSON that is being written": (
        "log.jsonl",
        '{"loss": 2.3, "step": 1',
        "its first line is not finished",
    ),
    "a number of it that is being written": ("log.jsonl", '{"loss": 2.', "its first line is not finished"),
    "a brace": ("log.jsonl", "{", "its first line is not finished"),
    "LLaMA-Factory without a line": ("trainer_log.jsonl", "", "the file is empty"),
    "a state without history": (
        "trainer_state.json",
        '{"global_step": 0, "log_history": []}',
        "the log holds no point: nothing has been logged",
    ),
}


@pytest.mark.parametrize("named", ["the file", "its folder"])
@pytest.mark.parametrize("case", NOTHING_YET)
def test_a_log_in_which_nothing_stands_yet_is_waited_for_and_not_diagnosed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, named: str
) -> None:
    name, content, reason = NOTHING_YET[case]
    (tmp_path / name).write_text(content)
    path = tmp_path / name if named == "the file" else tmp_path
    with pytest.raises(SystemExit) as stopped:
        main(["watch", str(path), "--once"])
    assert not stopped.value.code
    assert capsys.readouterr().out == f"{path}: waiting for the first step ({reason})\n"
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", str(path)])
    assert stopped.value.code == 1 and reason in capsys.readouterr().err


def test_an_event_file_with_only_the_version_of_its_form_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / EVENTS.name
    # A record is its length in 8 bytes, two checksums of 4, and the event; the first is the form's version.
    version = EVENTS.read_bytes()[: struct.unpack_from("<Q", EVENTS.read_bytes())[0] + 16]
    path.write_bytes(version)
    for given in (path, tmp_path):
        seen = glimpse(given)
        assert (seen.state, seen.reason) == ("waiting", "the event file holds no value")
    path.write_bytes(version[:-6])  # it is being written
    assert glimpse(path).state == "waiting"


def test_a_long_silence_of_a_log_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_log(tmp_path / "log.txt", 40)
    then = time.time() - 7200
    os.utime(path, (then, then))
    assert "last written to 2 h" in screen_lines(glimpse(path), 200, 40, colour=False)[0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(SystemExit):
        main(["watch", str(path)])
    assert capsys.readouterr().out.count("last written to 2 h") == 1


def text_log(path: Path, steps: int) -> Path:
    path.write_text("".join(f"step {step} loss: {2 * 0.99**step:.4f}\n" for step in range(1, steps + 1)))
    return path


def test_loading_the_readers_does_not_lengthen_a_wait() -> None:
    pace = Pace(2.0)
    pace.note(took=1.5, cost=1.5)  # the first look, with its imports
    pace.note(took=0.02, cost=0.01)
    # 1 % of a machine of N cores: 0.01 s are worth a second on one, less on more.
    assert pace.wait_s(5_000) == pytest.approx(1.98)


def test_one_slow_look_does_not_hide_a_short_training() -> None:
    pace = Pace(2.0)
    for cost in (1.0, 0.8, 0.7):
        pace.note(took=cost, cost=cost)
    assert pace.wait_s(5_000) == 4.0 and pace.wait_s(5 << 20) == 10.0
    for cost in (0.01, 0.01, 0.01):
        pace.note(took=0.0, cost=cost)
    assert pace.wait_s(5_000) == 2.0


def test_a_large_log_is_read_so_seldom_that_it_costs_a_hundredth_of_the_machine() -> None:
    pace, cores = Pace(2.0), os.cpu_count() or 1
    for _ in range(3):
        pace.note(took=6.0, cost=6.0)
    assert pace.wait_s(100 << 20) == pytest.approx(600.0 / cores)


def test_a_log_that_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run = text_log(tmp_path / "log.txt", 40), run_at(tmp_path / "run", make_evidence(FALL, FALL), 40)
    seen, of_run = glimpse(path), glimpse(run.path)
    with monkeypatch.context() as patched:
        module = sys.modules[glimpse.__module__]
        patched.setattr(module, "_look", lambda *given: pytest.fail("it was read again"))
        assert glimpse(path, before=seen) is seen and glimpse(run.path, before=of_run) is of_run
    text_log(path, 41)
    append_line(run.steps, records_of(make_evidence(FALL, FALL).steps)[40])
    assert glimpse(path, before=seen).step == 41 and glimpse(run.path, before=of_run).step == 41


def test_what_is_shown_was_read_after_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text_log(tmp_path / "log.txt", 40)
    before = glimpse(path)
    monkeypatch.setattr("time.sleep", lambda seconds: text_log(path, 44))
    assert look_again(path, {}, Pace(2.0), before).step == 44


def test_a_damaged_line_of_a_run_is_told_and_a_torn_last_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_at(tmp_path / "run", make_evidence(FALL, FALL), 60)
    lines = run.evals.read_text().splitlines(keepends=True)
    run.evals.write_text("".join([lines[0], lines[1][:30] + "\n", *lines[2:]]))
    run.steps.write_text(run.steps.read_text() + '{"step": 61, "epo')
    told = "note: train/evals.jsonl is damaged: line 2 cannot be read and was passed over"
    for words in (["watch", str(run.path), "--once"], ["diagnose", str(run.path)]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        shown = capsys.readouterr().out
        assert not stopped.value.code
        assert told in shown and shown.count("note: ") == 1
    with pytest.raises(SystemExit):
        main(["diagnose", str(run.path), "--json"])
    assert json.loads(capsys.readouterr().out)["problems"] == [told.removeprefix("note: ")]
    run.steps.write_text("garbage\n" + run.steps.read_text() + "\n")
    shown_lines = screen_lines(glimpse(run.path), 120, 40, colour=False)
    assert any("train/steps.jsonl is damaged: 2 lines, the first is 1," in line for line in shown_lines)


def test_damaged_lines_are_told_of_each_run_where_several_stand_beside_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, damaged = (run_at(tmp_path / name, make_evidence(FALL, FALL), 60) for name in ("whole", "damaged"))
    lines = damaged.evals.read_text().splitlines(keepends=True)
    damaged.evals.write_text("".join([lines[0], "torn\n", "torn\n", *lines[3:]]))
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", str(whole.path), str(damaged.path)])
    shown = " ".join(capsys.readouterr().out.split())
    told = "train/evals.jsonl is damaged: 2 lines, the first is 2, cannot be read and were passed over"
    assert not stopped.value.code
    assert f"note on B: {told}" in shown and shown.count("note on ") == 1
    with pytest.raises(SystemExit):
        main(["diagnose", str(whole.path), str(damaged.path), "--json"])
    assert [one["problems"] for one in json.loads(capsys.readouterr().out)["runs"]] == [[], [told]]


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
