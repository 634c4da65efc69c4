import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorascope.engine.threads import threads_to_take

pytestmark = pytest.mark.end_to_end

LAUNCHED = {"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "no"}


@pytest.mark.parametrize(
    ("environ", "num_cores", "threads"),
    [
        (LAUNCHED, 8, 8),
        (LAUNCHED, 1, None),  # nothing to take
        ({"OMP_NUM_THREADS": "1"}, 8, None),  # the user's own choice
        ({"OMP_NUM_THREADS": "4", "LOCAL_WORLD_SIZE": "1"}, 8, None),  # the user's own choice
        ({"LOCAL_WORLD_SIZE": "2"}, 8, None),  # nobody limited anything
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}, 8, 4),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "8"}, 8, None),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "zero"}, 8, 8),
    ],
)
def test_a_process_takes_its_share_of_the_cores_when_a_launcher_left_it_one(
    environ: dict[str, str], num_cores: int, threads: int | None
) -> None:
    assert threads_to_take(environ, num_cores=num_cores) == threads


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs a second core")
def test_the_cores_are_really_taken_back_in_a_process_that_accelerate_started(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from lorascope.engine.threads import take_back_threads\n"
        "print(torch.get_num_threads(), take_back_threads(), torch.get_num_threads(), take_back_threads())\n"
    )
    source = Path(__file__).parents[2] / "src"
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", str(script)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    before, *said, after, again = done.stdout.split(" ")
    assert before == "1", done.stderr
    assert " ".join(said).startswith("the launcher set OMP_NUM_THREADS=1; using")
    assert int(after) > 1
    assert again.strip() == "None"
