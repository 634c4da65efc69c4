"""A training that is asked to stop commits its step and leaves; the rest comes to the same bytes."""

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter

import pytest
from trials import BEGUN, Child, Ground, Ledger, outcome_of, refuse_unsound, start

from lorascope.run.folder import RunFolder
from lorascope.run.records import read_steps

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.xdist_group("trials"),  # one worker prepares for all of them
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork"),
]

_STOPS = 10


def stop_chain(ground: Ground, ledger: Ledger, number: int, *, twice: bool = False) -> None:
    """Stop one training ten times, let it finish, and compare it with the one that nobody stopped."""
    if ledger.rows(chain=number, ended=True):
        return
    run = ground.copy(f"stopped-{'twice-' * twice}{number}")
    for stop in range(len(ledger.rows(chain=number)), _STOPS):
        generator = random.Random(f"chain {number}, stop {stop}, {twice}")
        child = start(run, "--resume")
        if generator.random() < 0.1:
            child.wait_for(BEGUN, "+")
            child.read(generator.uniform(0, ground.load_s))
        else:
            share = ground.num_steps / _STOPS - 1  # each stop finishes a step of its own
            child.train_for(generator.uniform(0, max(1, 2 * share)), ground.step_s)
        asked = time.monotonic()
        child.send(signal.SIGTERM)
        if twice:
            child.read(generator.uniform(0, 0.01))
            child.send(signal.SIGTERM)
        code, took = child.end(), time.monotonic() - asked
        assert code in (128 + signal.SIGTERM, -signal.SIGTERM, 0), child.words
        newest = refuse_unsound(run, at_least=child.acknowledged)
        if code > 0:
            refuse_late(run, child, asked, newest, ground.num_steps, twice=twice)
        ledger.add(chain=number, stop=stop, stopped=code > 0, place=_place(child, asked), took_s=took)
    child = start(run, "--resume")
    assert child.end() == 0, child.words
    assert outcome_of(run) == ground.outcome
    shutil.rmtree(run.path)
    ledger.add(chain=number, ended=True)


def refuse_late(
    run: RunFolder, child: Child, asked: float, newest: int, num_steps: int, *, twice: bool
) -> None:
    """Insist on what a stop promises: one more step at most, committed; nothing looks done before it is."""
    after = [mark for mark in child.marks if mark[:2] == ("-", "optimizer_step") and mark[3] > asked]
    assert len(after) <= 1
    steps = read_steps(run.steps)
    if not twice and any(mark[1] == "optimizer_step" for mark in child.marks):
        assert newest == steps[-1].step
        assert "stopped by SIGTERM after step" in child.words
    assert "Traceback" not in child.words
    assert f"lorascope train {run.path} --resume" in child.words
    for looks_done in (run.adapter, run.train_summary):  # a signal may fall between either and the end
        assert newest == num_steps or not looks_done.exists()


def _place(child: Child, asked: float) -> str:
    """What the child was in the middle of when it was asked to stop."""
    before = Child(child.pid, child.pipe, child.said, [mark for mark in child.marks if mark[3] <= asked])
    return before.place


def num_stopped(ledger: Ledger) -> int:
    return len(ledger.rows(stopped=True))


def said_of(ledger: Ledger) -> str:
    rows = ledger.rows(stopped=True)
    slowest = max(row["took_s"] for row in rows)
    return (
        f"slowest {slowest:.3f} s; in the middle of: {dict(Counter(r['place'] for r in rows).most_common())}"
    )


def test_a_training_stopped_ten_times_comes_to_the_same_bytes(ground: Ground) -> None:
    ledger = Ledger(ground.folder / "stopped.jsonl")
    stop_chain(ground, ledger, 0)
    assert num_stopped(ledger) >= 5


@pytest.mark.slow
def test_two_hundred_stops_end_within_a_step_and_lose_nothing(long_ground: Ground) -> None:
    ledger = Ledger(long_ground.folder / "stopped.jsonl")
    number = 0
    while num_stopped(ledger) < 200 or not ledger.rows(chain=number - 1, ended=True):
        stop_chain(long_ground, ledger, number)
        number += 1
    print(f"\n{num_stopped(ledger)} stops in {len(ledger.rows(ended=True))} trainings;", said_of(ledger))


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_older_commits_stay(long_ground: Ground) -> None:
    ledger = Ledger(long_ground.folder / "stopped-twice.jsonl")
    number = 0
    while num_stopped(ledger) < 50 or not ledger.rows(chain=number - 1, ended=True):
        stop_chain(long_ground, ledger, number, twice=True)
        number += 1
    print(
        f"\n{num_stopped(ledger)} double stops in {len(ledger.rows(ended=True))} trainings;", said_of(ledger)
    )
