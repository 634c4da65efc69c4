"""Several processes train as one: the same steps, whoever computes which part of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lorascope.run.folder import RunFolder
from lorascope.run.records import read_evals, read_steps
from lorascope.train.ranks import Ranks, one_of_several


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_every_process_has_its_own_share_and_all_shares_are_the_whole(world: int, count: int) -> None:
    shares = [Ranks(rank=rank, world=world).mine(range(count)) for rank in range(world)]
    assert sorted(value for share in shares for value in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_writes() -> None:
    assert [Ranks(rank=rank, world=3).writes for rank in range(3)] == [True, False, False]


TORCHRUN = "torch.distributed.run --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint localhost:0"
ACCELERATE = (
    "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no "
    "--dynamo_backend no --main_process_port 0"
)


def launched(run: RunFolder, *arguments: str, launcher: str = TORCHRUN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher.split(), "-m", "lorascope", "train", str(run.path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_launcher_that_starts_one_process_of_several_is_told_on() -> None:
    started = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}
    told = one_of_several(started)
    assert told is not None and "torchrun --nproc-per-node N" in told
    assert one_of_several({**started, "WORLD_SIZE": "2"}) is None
    assert one_of_several({"ACCELERATE_USE_CPU": "True"}) is None
    assert one_of_several({}) is None


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate launch"])
def test_two_processes_take_the_steps_that_one_takes(
    launcher: str, ready_run: Any, train: Any, straight: RunFolder, tmp_path: Path
) -> None:
    alone, both = ready_run("alone"), ready_run("both")
    train(alone, "lora.dropout=0")  # dropout draws other masks for other layouts
    both.check_report.unlink()
    done = launched(both, "--set", "lora.dropout=0", "--json", launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"] == 2  # one JSON object: one process speaks
    assert done.stderr.count("check: ") == 1  # and one checks
    one, two = read_steps(alone.steps), read_steps(both.steps)
    seen = [
        [(r.step, r.num_examples, r.target_tokens, r.learning_rate) for r in steps] for steps in (one, two)
    ]
    assert seen[0] == seen[1]
    assert [r.loss for r in two] == pytest.approx([r.loss for r in one], rel=1e-5)
    for first, second in zip(read_evals(alone.evals), read_evals(both.evals), strict=True):
        assert first.validation and second.validation
        # The same examples in the same order: their sums are paired, one by one.
        assert second.validation.num_tokens == first.validation.num_tokens
        assert second.validation.nll_sums == pytest.approx(first.validation.nll_sums, rel=1e-4)
        assert second.probe.num_tokens == first.probe.num_tokens
    assert json.loads(both.train_summary.read_text())["processes"] == 2


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_both_processes_and_is_recorded(ready_run: Any) -> None:
    run = ready_run()
    done = launched(run, "--set", "train.learning_rate=1e30")
    assert done.returncode != 0
    assert "is not finite" in done.stderr
    failure = json.loads(run.train_failure.read_text())
    assert failure["step"] == len(read_steps(run.steps)) + 1
    assert failure["example_ids"]
