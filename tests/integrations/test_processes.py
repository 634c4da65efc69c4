"""LorascopeCallback where two processes train: one log, of what both did, and decisions that both take."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lorascope.integrations.processes import num_processes, of_all, of_any, summed

SCRIPT = Path(__file__).parent / "two_processes.py"
TORCHRUN = "torch.distributed.run --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint localhost:0"


def test_a_process_alone_speaks_for_all() -> None:
    assert num_processes() == 1 and summed([1.5, 2.0], "cpu") == [1.5, 2.0]
    assert of_any(True, "cpu") and not of_any(False, "cpu") and of_all([1, 2]) == [1, 2]


@pytest.fixture(scope="module")
def seen(alpaca_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw of the same trainings."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", *TORCHRUN.split(), str(SCRIPT), str(alpaca_base), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.end_to_end
def test_one_log_holds_the_loss_and_the_target_tokens_of_both_processes(seen: list[dict[str, Any]]) -> None:
    # 24 rows in batches of 4 x 2 x 2 processes: two steps an epoch, the second of half a batch.
    steps = seen[0]["with"]["steps"]
    assert [one["step"] for one in steps] == [1, 2, 3, 4] and {one["processes"] for one in steps} == {2}
    # Of both epochs and of both processes: every target once an epoch.
    assert sum(one["target_tokens"] for one in steps) == 2 * seen[0]["targets"]
    # The Trainer's own loss is gathered from both; it is the oracle, and it rounds.
    for name in ("with", "by_mean"):
        for one in seen[0][name]["steps"]:
            assert one["loss"] == pytest.approx(seen[0][name]["logged"][str(one["step"])], abs=2e-3)
    assert seen[0]["with"]["told"] and not seen[1]["with"]["told"]
    assert seen[0]["with"]["judged"] and not seen[1]["with"]["judged"]


@pytest.mark.end_to_end
def test_listening_changes_nothing_where_two_processes_train(seen: list[dict[str, Any]]) -> None:
    for name in ("logged", "weights", "last_step"):
        assert seen[0]["with"][name] == seen[0]["without"][name], name
    assert seen[0]["with"]["weights"] == seen[1]["with"]["weights"]


@pytest.mark.end_to_end
def test_what_one_process_sees_both_drop_and_both_end(seen: list[dict[str, Any]]) -> None:
    # The second process's third pass is NaN: DDP would spread it, and a lone drop would part the two.
    assert [one["broken"]["last_step"] for one in seen] == [3, 3]
    assert seen[0]["broken"]["weights"] == seen[1]["broken"]["weights"]
    assert seen[0]["broken"]["weights"] == pytest.approx(seen[0]["broken"]["weights"])  # not NaN
    assert any("step 3 is not finite" in line for line in seen[0]["broken"]["told"])


@pytest.mark.end_to_end
def test_a_row_that_one_process_collates_stops_both_before_step_one(seen: list[dict[str, Any]]) -> None:
    assert [one["refused"] for one in seen] == [True, True]
