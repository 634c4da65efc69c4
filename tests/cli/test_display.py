"""What people see while they wait: rate, time left, and training in words."""

import io
import time
from typing import Any

import pytest

from lorascope.cli.display import Meter, TerminalObserver, TrainingObserver, duration
from lorascope.run.progress import Judgement
from lorascope.run.records import EvalRecord, SetScore, StepRecord


def _evaluation(step: int, validation: SetScore | None) -> EvalRecord:
    probe = SetScore(loss=2.0, low=1.9, high=2.1, num_examples=50, target_tokens=500)
    return EvalRecord(
        step=step, epoch=0.5, full=False, precision="float32", probe=probe, validation=validation, seconds=1.0
    )


def test_durations_are_written_as_people_say_them() -> None:
    assert [duration(s) for s in (0.4, 59.4, 200, 7500)] == ["0 s", "59 s", "3 min 20 s", "2 h 05 min"]


def test_a_meter_tells_rate_and_time_left_without_what_was_done_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([100.0, 110.0])  # made at 100, asked at 110
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    meter = Meter("training", 100, "steps", live=False, already=40)
    meter.done += 20  # 20 in 10 s: 2/s, and 40 are left
    assert meter.line() == "training [############........] 60/100 steps, 2/s, 20 s left"


def test_work_of_unknown_size_shows_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    meter = Meter("reading", 0, "rows", live=False)
    meter.done = 3000
    assert meter.line() == "reading: 3,000 rows, 1,500/s"


def test_work_of_less_than_a_second_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalObserver().task("tokenising", 10, "rows") as advance:
        for _ in range(10):
            advance(1)
    assert capsys.readouterr().err == ""


def test_loss_perplexity_and_words_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    observer = TrainingObserver()
    validation = SetScore(loss=2.158, low=2.1, high=2.2, num_examples=100, target_tokens=900)
    observer.evaluation(_evaluation(0, validation))
    observer.evaluation(_evaluation(10, None))
    first, second, third = capsys.readouterr().err.splitlines()
    assert "train probe" in first and "validation" in first and "like choosing among" in first
    for part in ("2.000 (ppl 7.39)", "2.158 (ppl 8.65)", "2.100 to 2.200", "8.7 tokens"):
        assert part in second
    assert "no validation split" in third


def test_a_verdict_is_said_where_it_changes_and_at_the_end_where_its_reason_is_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def told(*found: tuple[str, str]) -> list[str]:
        observer = TrainingObserver()
        for number, (verdict, reason) in enumerate(found, start=1):
            observer.judgement(Judgement(verdict=verdict, reason=reason, is_last=number == len(found)))
        return [line.strip() for line in capsys.readouterr().err.splitlines()]

    falling, lately = ("still_improving", "39% since step 7"), ("still_improving", "15% since step 14")
    few = ("not_enough_evidence", "evaluations: 1 of 5")
    first, last = (
        "verdict: still improving - 39% since step 7",
        "verdict: still improving - 15% since step 14",
    )
    assert told(few, falling, lately, lately) == [first, last]
    assert told(falling, lately, falling) == [first]
    assert told(falling, few) == [first, "verdict: not enough evidence - evaluations: 1 of 5"]


def test_a_narrow_terminal_gets_a_narrow_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    observer = TrainingObserver()
    validation = SetScore(loss=2.158, low=2.1, high=2.2, num_examples=100, target_tokens=900)
    observer.evaluation(_evaluation(0, validation))
    observer.evaluation(_evaluation(1000, None))
    lines = terminal.getvalue().splitlines()
    assert [line.split() for line in lines] == [
        ["step", "probe", "validation"],
        ["0", "2.000", "2.158", "(ppl", "8.65)"],
        ["1,000", "2.000", "none"],
    ]
    assert max(len(line) for line in lines) <= 40


def test_a_live_line_is_cleared_before_another_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    observer = TrainingObserver()
    with observer.task("training", 10, "steps") as advance:
        assert observer.meter is not None
        observer.meter.started -= 60
        observer.meter.shown -= 60
        record = StepRecord(
            step=1,
            epoch=0.1,
            loss=1.5,
            target_tokens=10,
            num_examples=1,
            learning_rate=1e-4,
            grad_norm=1.0,
            seconds=0.5,
        )
        observer.step(record)
        advance(1)
        observer.note("said")
    shown = terminal.getvalue()
    assert "loss 1.500, 20 target tokens/s" in shown
    before, _, after = shown.partition("said")
    assert before.rstrip(" ").endswith("\r")  # the line was blanked and the cursor is at its start
    assert after.strip() == ""
