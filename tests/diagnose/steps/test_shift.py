"""The levels of a training curve before and behind each of its places."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lorascope.diagnose.steps.shift import LEAST_WIDTH, levels_of, shifts_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_logs import made_log


def test_the_rise_of_a_step_is_its_height_where_it_stands_and_nothing_elsewhere() -> None:
    levels = levels_of(made_log([*np.full(30, 1.0), *np.full(30, 2.0)]))
    first = next(shifts_of(levels))
    assert first.width == LEAST_WIDTH and levels.opening == pytest.approx(1.0)
    rise = dict(zip(first.at_S.tolist(), first.rise_S.tolist(), strict=True))
    # Medians of five: two points to the side, three of the five still lie on the other level.
    assert [rise[at] for at in (27, 28, 30, 32, 33)] == pytest.approx([0, *[np.log(2)] * 3, 0])
    assert first.last == pytest.approx(np.log(2))


def test_windows_reach_a_quarter_of_the_curve_and_leave_one_behind() -> None:
    widths = [
        (one.width, int(one.at_S[0]), int(one.at_S[-1]))
        for one in shifts_of(levels_of(made_log(range(1, 41))))
    ]
    # ceil(1.4 * 5) = 7, ceil(1.4 * 7) = 10 = 40 / 4; behind the last place lie two windows.
    assert widths == [(5, 5, 30), (7, 7, 26), (10, 10, 20)]


def test_the_standard_error_is_that_of_two_medians_of_independent_noise() -> None:
    logs = np.random.default_rng(0).normal(0.0, 0.2, 4000)
    differences = [np.median(one[:10]) - np.median(one[10:]) for one in logs.reshape(-1, 20)]
    levels = levels_of(made_log(np.exp(logs[:200])))
    ten = next(one for one in shifts_of(levels) if one.width == 10)
    # 1.2533 * 0.2 * sqrt(2 / 10) = 0.112; 200 draws and the noise of 200 points tell it to a tenth.
    assert ten.stderr == pytest.approx(0.112, rel=0.2)
    assert np.std(differences) == pytest.approx(0.112, rel=0.15)


def test_a_long_log_is_joined_to_at_most_four_hundred_medians() -> None:
    levels = levels_of(made_log(np.full(1_999, 2.0)))
    assert len(levels) == 222 and levels.step_M[0] == 9  # 1999 // 200 = 9 points each
