"""Steps that go back."""

import numpy as np

from lorascope.diagnose.logs.order import is_shuffled, restarts_of, standing


def test_points_that_were_done_again_do_not_stand() -> None:
    # 30 and 40 come again after the fall to 30.
    assert standing(np.array([10.0, 20, 30, 40, 30, 40])).tolist() == [True, True, False, False, True, True]


def test_the_note_says_how_many_points_are_passed_over_and_what_to_do() -> None:
    problems: list[str] = []
    assert restarts_of(np.array([10.0, 20, 30, 40, 30, 40]), problems) == (4,)
    assert "from 40 to 30" in problems[0] and "2 of 6 training points" in problems[0]
    assert "into a file of their own" in problems[0]


def test_steps_in_no_order_are_shuffled_only_where_each_is_another() -> None:
    assert is_shuffled(np.arange(50.0)[::-1])
    assert not is_shuffled(np.tile(np.arange(10.0), 5))  # five runs, one behind the other
    assert not is_shuffled(np.array([10.0, 20, 30, 25, 35]))  # one fall: a training that was resumed
