"""A disk that fills up, or refuses anything else, costs no committed step; with room the training goes on."""

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from trials import Child, Ground, Ledger, nth_call, outcome_of, refuse_unsound, start

from lorascope.run.folder import RunFolder
from lorascope.train import stage

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.xdist_group("trials"),  # one worker prepares for all of them
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork"),
]

_PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of our own, 64 MiB at first."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "lorascope-test", place], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture(autouse=True)
def seemed_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while the training runs: one too small from the start is refused (test_disk)."""
    monkeypatch.setattr(stage, "refuse_full_disk", lambda training: None)


def resize(disk: Path, num_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={num_bytes}", disk], check=True)


def used(disk: Path) -> int:
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def fill_and_go_on(ground: Ground, disk: Path, room: int) -> dict[str, object]:
    """Train with so much room, see how it stops, and finish with enough of it."""
    resize(disk, 64 << 20)
    run = RunFolder(Path(shutil.copytree(ground.ready.path, disk / "run")))
    (disk / "run.said").write_bytes(b" " * _PAGE)  # what the command says finds room,
    (run.path / ".training.lock").write_bytes(b" ")  # and so does the machine's name in the lock
    before = used(disk)
    resize(disk, before + room)
    child = start(run, "--resume")
    code = child.end()
    newest = refuse_stopped_badly(run, child, code, "No space left on device")
    place = child.place
    resize(disk, 64 << 20)
    again = start(run, "--resume")
    assert again.end() == 0, again.words
    assert outcome_of(run) == ground.outcome
    needed = used(disk) - before
    shutil.rmtree(run.path)
    return {"room": room, "stopped": code != 0, "place": place, "newest": newest, "needed": needed}


def refuse_stopped_badly(run: RunFolder, child: Child, code: int, reason: str) -> int:
    """Insist on our message, no traceback, and nothing half where anybody looks."""
    assert code in (0, 1), child.words
    if code:
        assert "cannot be written: " in child.words and reason in child.words, child.words
        assert "free space and go on (train: --resume), or choose another --out; nothing" in child.words
    assert "Traceback" not in child.words
    return refuse_unsound(run, at_least=child.acknowledged)


# A checkpoint takes 72 KiB, and so do three of them, one while it is written, and two adapters 48 KiB each.
@pytest.mark.parametrize("room", [0, 120 << 10, 200 << 10])
def test_a_disk_that_is_full_stops_the_training_and_keeps_what_was_saved(
    ground: Ground, disk: Path, room: int
) -> None:
    assert fill_and_go_on(ground, disk, room)["stopped"]


@pytest.mark.slow
def test_a_disk_of_every_size_keeps_what_was_saved(
    long_ground: Ground, small_ground: Ground, disk: Path
) -> None:
    ledger = Ledger(long_ground.folder / "disk.jsonl")
    while len(ledger.rows(stopped=False)) < 3:  # three sizes in a row that were enough
        ledger.add(**fill_and_go_on(small_ground, disk, len(ledger.rows()) * _PAGE))
    stopped = ledger.rows(stopped=True)
    print(f"\n{len(stopped)} sizes that were too small; in the middle of:", places(stopped))
    assert len(stopped) >= 40


def places(rows: list[dict[str, object]]) -> dict[object, int]:
    return dict(Counter(row["place"] for row in rows).most_common())


_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES)


def refused_at_call(ground: Ground, number: int, error: int) -> dict[str, object]:
    """Refuse a training's nth call into the operating system's files, and finish it."""
    run = ground.copy(f"refused-{number}")
    mark = run.path.with_name(f"{run.path.name}.refused")

    def refuse(_name: str) -> None:
        mark.write_bytes(b"")
        raise OSError(error, os.strerror(error))

    child = start(run, "--resume", sabotage=nth_call(number, refuse))
    code = child.end()
    refuse_stopped_badly(run, child, code, os.strerror(error))
    place = child.place
    again = start(run, "--resume")
    assert again.end() == 0, again.words
    assert outcome_of(run) == ground.outcome
    shutil.rmtree(run.path)
    return {"call": number, "error": error, "stopped": code != 0, "place": place, "refused": mark.exists()}


@pytest.mark.parametrize("number", [61, 152])
def test_a_call_that_the_disk_refuses_stops_the_training_with_our_message(
    ground: Ground, number: int
) -> None:
    refused_at_call(ground, number, errno.EIO)


@pytest.mark.slow
def test_every_call_that_the_disk_refuses_keeps_what_was_saved(
    long_ground: Ground, small_ground: Ground
) -> None:
    ledger = Ledger(long_ground.folder / "refused.jsonl")
    while not ledger.rows(refused=False):  # a training that is through before its nth call
        number = len(ledger.rows()) + 1
        ledger.add(**refused_at_call(small_ground, number, _ERRORS[number % len(_ERRORS)]))
    stopped = ledger.rows(stopped=True)
    print(f"\n{len(stopped)} refused calls that stopped it; in the middle of:", places(stopped))
