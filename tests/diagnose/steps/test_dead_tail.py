import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.steps.dead_tail import dead_tail

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def test_a_schedule_that_ends_early_leaves_a_dead_tail() -> None:
    # A line to 0 at step 80 of 100: 0.001 of the peak is passed between steps 79 and 80, so 21 % are dead.
    rate = np.maximum(0.0, 1 - np.arange(1, 101) / 80) * 2e-4
    found = dead_tail(made_log(np.full(100, 2.0), rate=rate))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.evidence["last_step_alive"] == 79 and found.evidence["share"] == pytest.approx(0.21)


def test_a_cosine_that_ends_with_the_training_is_by_design() -> None:
    rate = 1e-4 * (1 + np.cos(np.pi * np.arange(1, 1001) / 1000))
    assert dead_tail(made_log(np.full(1000, 2.0), rate=rate)) is None


def test_without_learning_rates_nothing_is_said() -> None:
    assert isinstance(dead_tail(made_log(np.full(50, 2.0), rate=float("nan"))), NotRun)
