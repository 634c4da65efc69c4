import sys
from pathlib import Path

import numpy as np

from lorascope.diagnose.finding import Finding
from lorascope.diagnose.steps.no_effect import no_effect

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log

FALLING = np.linspace(2.0, 1.2, 100)


def test_a_learning_rate_or_gradient_of_zero_changes_nothing() -> None:
    for columns in ({"rate": 0.0}, {"grad_norm": 0.0}):
        found = no_effect(made_log(np.full(100, 2.0), noise=0.05, **columns))
        assert isinstance(found, Finding) and found.severity == "critical"


def test_a_loss_that_falls_beyond_its_noise_contradicts_a_zero() -> None:
    # 2.0 to 1.2 is 40 %, the noise of 5 % makes medians of ten differ by about 6 % by chance.
    for columns in ({"rate": 0.0}, {"grad_norm": 0.0}):
        assert no_effect(made_log(FALLING, noise=0.05, **columns)) is None


def test_a_fall_within_the_noise_contradicts_nothing() -> None:
    # 2 % lies below the 3 % that learning must reach.
    assert isinstance(no_effect(made_log(np.linspace(2.0, 1.96, 100), rate=0.0)), Finding)


def test_a_learning_rate_of_zero_asks_for_a_learning_rate() -> None:
    found = no_effect(made_log(np.full(100, 2.0), noise=0.05, rate=0.0))
    assert isinstance(found, Finding) and found.action.startswith("set a learning rate")
    found = no_effect(made_log(np.full(100, 2.0), noise=0.05, grad_norm=0.0))
    assert isinstance(found, Finding) and found.action.startswith("look at what is trained on")
