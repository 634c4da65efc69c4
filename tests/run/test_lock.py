"""A run's training is held by one process, and let go however that process ends."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.folder import RunFolder
from lorascope.run.lock import is_being_written, only_writer

_HOLD = (
    "import sys, pathlib\n"
    "from lorascope.run.folder import RunFolder\n"
    "from lorascope.run.lock import only_writer\n"
    "with only_writer(RunFolder(pathlib.Path(sys.argv[1]))):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_a_second_training_of_one_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is training"), only_writer(run):
            pass
        holder.kill()  # a kill lets go too
        holder.wait()
    with only_writer(run):
        pass


def test_a_training_that_failed_lets_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(ZeroDivisionError), only_writer(run):
        raise ZeroDivisionError
    with only_writer(run):
        pass


def test_whether_somebody_trains_is_told_from_the_lock(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert is_being_written(run) is None  # nobody has begun
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert is_being_written(run) is True
        holder.kill()
        holder.wait()
    assert is_being_written(run) is False


def test_of_a_training_on_another_machine_nobody_here_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    with only_writer(run):
        pass
    monkeypatch.setattr("platform.node", lambda: "another")
    assert is_being_written(run) is None


def test_a_training_starts_although_somebody_is_asking(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with only_writer(RunFolder(tmp_path)):
        pass
    with (tmp_path / ".training.lock").open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        done = threading.Timer(0.1, fcntl.flock, (asked, fcntl.LOCK_UN))
        done.start()
        with only_writer(RunFolder(tmp_path)):
            pass
        done.join()
