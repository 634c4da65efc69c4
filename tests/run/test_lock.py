"""A run's training is held by one process, and let go however that process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.folder import RunFolder
from lorascope.run.lock import only_writer

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
