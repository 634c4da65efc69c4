"""A training killed at any moment loses no committed step, and goes on to the bytes of one that was not."""

import os
import random
import shutil
import signal
import sys
from collections import Counter
from typing import Any

import pytest
from trials import BEGUN, LOADED, Ground, Ledger, nth_call, outcome_of, refuse_unsound, start

from lorascope.run.folder import RunFolder

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.xdist_group("trials"),  # one worker prepares for all of them
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork"),
]

_WHILE_LOADING = 0.1
_KILLS = 10


def kill_chain(ground: Ground, ledger: Ledger, number: int) -> None:
    """Kill one training ten times, let it finish, and compare it with the one that nobody killed."""
    if ledger.rows(chain=number, ended=True):
        return
    run = ground.copy(f"killed-{number}")
    for kill in range(len(ledger.rows(chain=number)), _KILLS):
        generator = random.Random(f"chain {number}, kill {kill}")
        child = start(run, "--resume")
        if generator.random() < _WHILE_LOADING:
            child.wait_for(BEGUN, "+")
            child.read(generator.uniform(0, ground.load_s))
        else:  # ten kills, each after a share of a straight run's time, are spread over all of it
            child.wait_for(LOADED, "-")
            child.read(generator.uniform(0, 2 * ground.loop_s / _KILLS))
        child.send(signal.SIGKILL)
        code = child.end()
        assert code in (-signal.SIGKILL, 0), child.words
        before = max((row["newest"] for row in ledger.rows(chain=number)), default=0)
        newest = refuse_unsound(run, at_least=max(before, child.acknowledged))
        ledger.add(chain=number, kill=kill, place=child.place, newest=newest, killed=code != 0)
    child = start(run, "--resume")
    assert child.end() == 0, child.words
    assert outcome_of(run) == ground.outcome
    refuse_leftovers(run)
    shutil.rmtree(run.path)
    ledger.add(chain=number, ended=True)


def refuse_leftovers(run: RunFolder) -> None:
    hidden = [path for path in run.path.rglob(".*") if path.name != ".training.lock"]
    assert hidden == []


def test_a_training_killed_ten_times_comes_to_the_same_bytes(ground: Ground) -> None:
    ledger = Ledger(ground.folder / "killed.jsonl")
    kill_chain(ground, ledger, 0)
    assert sum(row["killed"] for row in ledger.rows(chain=0) if "kill" in row) >= 8


@pytest.mark.slow
def test_two_hundred_kills_in_twenty_trainings_lose_no_committed_step(long_ground: Ground) -> None:
    ledger = Ledger(long_ground.folder / "killed.jsonl")
    number = 0
    while number < 20 or num_killed(ledger) < 200:
        kill_chain(long_ground, ledger, number)
        number += 1
    print(f"\n{num_killed(ledger)} kills in {number} trainings; in the middle of:", places(ledger))


def num_killed(ledger: Ledger) -> int:
    return len(ledger.rows(killed=True))


def places(ledger: Ledger) -> dict[str, int]:
    return dict(Counter(row["place"] for row in ledger.rows(killed=True)).most_common())


def die(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_call(ground: Ground, number: int) -> dict[str, Any]:
    """Kill a training at its nth call into the operating system's files, and finish it."""
    run = ground.copy(f"call-{number}")
    child = start(run, "--resume", sabotage=nth_call(number, die))
    code = child.end()
    assert code in (-signal.SIGKILL, 0), child.words
    refuse_unsound(run, at_least=child.acknowledged)
    again = start(run, "--resume")
    assert again.end() == 0, again.words
    assert outcome_of(run) == ground.outcome
    refuse_leftovers(run)
    shutil.rmtree(run.path)
    return {"call": number, "killed": code != 0, "place": child.place}


# The first calls make the folders; around the 60th the first checkpoint is renamed, later the best adapter.
@pytest.mark.parametrize("number", [3, 61, 152])
def test_a_training_killed_at_a_certain_call_comes_to_the_same_bytes(ground: Ground, number: int) -> None:
    assert killed_at_call(ground, number)["killed"]


@pytest.mark.slow
def test_a_kill_at_every_call_into_the_file_system_loses_nothing(
    long_ground: Ground, small_ground: Ground
) -> None:
    ledger = Ledger(long_ground.folder / "calls.jsonl")
    while not ledger.rows(killed=False):
        ledger.add(**killed_at_call(small_ground, 1 + len(ledger.rows())))
    print(f"\nkilled at each of {num_killed(ledger)} calls; in the middle of:", places(ledger))
    assert num_killed(ledger) > 100
