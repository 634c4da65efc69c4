"""Whatever a training does when it is asked to stop, it stops soon, and what it had finished is committed."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.run.folder import RunFolder
from lorascope.run.records import read_evals
from lorascope.train import evaluate as evaluation
from lorascope.train import stage
from lorascope.train.checkpoint import committed_steps
from lorascope.train.signals import Interrupted, stop_requests

pytestmark = pytest.mark.end_to_end


def kill_self(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def asked_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks this process to stop when it is called for the nth time."""
    calls = 0

    def asking(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            kill_self()
        return function(*given, **named)

    return asking


def names(run: RunFolder) -> list[str]:
    return [path.name for path in committed_steps(run.checkpoints)]


# Each evaluation scores two sets: calls 1 and 2 are the base's, 3 and 4 those after step 4, 7 and 8 the last.
@pytest.mark.parametrize(("call", "step", "evals"), [(1, 0, []), (4, 4, [0]), (7, 12, [0, 4, 8])])
def test_an_evaluation_is_left_within_a_forward_pass(
    ready_run: Any,
    train: Any,
    straight: RunFolder,
    outcome: Any,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    step: int,
    evals: list[int],
) -> None:
    run = ready_run()
    with monkeypatch.context() as patched, pytest.raises(Interrupted) as stopped:
        patched.setattr(evaluation, "score_examples", asked_at(call, evaluation.score_examples))
        train(run)
    assert (stopped.value.code, stopped.value.step) == (143, step)
    assert names(run)[-1:] == ([f"step-{step:08d}"] if step else [])
    assert [record.step for record in read_evals(run.evals)] == evals
    assert not run.train_summary.exists()
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_a_signal_while_the_model_is_loaded_stops_at_once(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ready_run()
    with (
        monkeypatch.context() as patched,
        pytest.raises(Interrupted, match="^stopped by SIGTERM$") as stopped,
    ):
        patched.setattr(stage, "build_training", asked_at(1, stage.build_training))
        train(run)
    assert stopped.value.code == 143
    assert names(run) == []
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_a_signal_in_the_last_step_stops_before_anything_looks_finished(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ready_run()
    with monkeypatch.context() as patched, pytest.raises(Interrupted, match="after step 12"):
        patched.setattr(stage, "optimizer_step", asked_at(12, stage.optimizer_step))
        train(run)
    assert names(run)[-1] == "step-00000012"
    assert not run.adapter.exists()
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


def test_a_signal_once_all_is_done_stops_what_would_come_next(
    ready_run: Any, train: Any, straight: RunFolder, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ready_run()
    with monkeypatch.context() as patched, pytest.raises(Interrupted, match="after step 12"):
        patched.setattr(stage, "finish", asked_at(1, stage.finish))
        train(run)
    assert not run.train_summary.exists()
    train(run, resume=True)
    assert outcome(run) == outcome(straight)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)],
)
def test_a_held_signal_waits_and_a_second_one_does_not(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped, stop_requests() as request:
        request.hold()
        kill_self(number)
        assert request.number == number
        kill_self(number)
    assert stopped.value.code == code
    assert signal.getsignal(number) is before


def test_a_signal_that_nobody_looked_at_is_not_lost() -> None:
    with pytest.raises(Interrupted, match="SIGHUP after step 7") as stopped, stop_requests() as request:
        request.hold()
        kill_self(signal.SIGHUP)
        request.release(7)
    assert stopped.value.code == 129


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with stop_requests() as request:
            kill_self(signal.SIGHUP)
            assert request.number is None
    finally:
        signal.signal(signal.SIGHUP, before)
