"""However a step is laid out, attended, dropped or dealt to processes: the same loss, the same gradient."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.train.ranks import Ranks

from .equality import CELLS, DROPPED, computed, plainly

pytestmark = pytest.mark.end_to_end

plain = cache(plainly)


def assert_equal(found: tuple[float, dict[str, np.ndarray]], cell: tuple[Any, ...]) -> None:
    """Within 1e-5 of plain transformers and PEFT, relative, for the loss and each tensor's gradient."""
    name, _, _, dropout = cell
    loss, gradients = plain(name, dropout)
    assert found[0] == pytest.approx(loss, rel=1e-5)
    assert found[1].keys() == gradients.keys()
    for tensor, gradient in gradients.items():
        apart = np.linalg.norm(found[1][tensor] - gradient) / np.linalg.norm(gradient)
        assert apart < 1e-5, f"{tensor}: {apart:.2g}"


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_one_process_gives_the_loss_and_gradients_of_plain_transformers_and_peft(
    cell: tuple[str, str, str, float],
) -> None:
    assert_equal(computed(cell, Ranks(rank=0, world=1)), cell)


def test_dropout_changes_the_gradient_and_the_oracle_sees_it() -> None:
    without, dropped = plain("llama", 0.0), plain("llama", DROPPED)
    assert dropped[0] != pytest.approx(without[0], rel=1e-3)


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Every cell, computed once by two processes that share the examples of the step."""
    file = tmp_path_factory.mktemp("two") / "cells.npz"
    program = str(Path(__file__).with_name("equality.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", program, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


@pytest.mark.xdist_group("two processes")
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_two_processes_give_the_same_as_one(
    cell: tuple[str, str, str, float], by_two: dict[str, np.ndarray]
) -> None:
    lead = f"{cell}/"
    gradients = {name.removeprefix(lead): value for name, value in by_two.items() if name.startswith(lead)}
    assert_equal((float(by_two[f"{cell}"]), gradients), cell)
