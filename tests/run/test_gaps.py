"""What is said of lines that a run's logs should hold and do not."""

from pathlib import Path

import pytest

from lorascope.run.folder import RunFolder
from lorascope.run.gaps import lacking_lines, lacking_steps

LOG = Path("run/train/steps.jsonl")


@pytest.mark.parametrize(
    ("steps", "last", "missing", "first"),
    [
        ([2, 3, 4], 4, 1, 1),
        ([1, 2, 5, 7], 7, 3, 3),
        ([1, 2, 3], 5, 2, 4),
        ([], 3, 3, 1),
        ([1.0, 3.0], 1_234, 1_232, 2),
    ],
)
def test_steps_without_a_line_are_counted_and_the_first_is_named(
    steps: list[float], last: int, missing: int, first: int
) -> None:
    lines = f"{missing:,} of the lines of {last:,} steps"
    assert lacking_steps(LOG, steps, last) == [
        f"train/steps.jsonl lacks {lines}, the first is that of step {first}"
    ]


def test_of_a_log_that_holds_every_step_nothing_is_said() -> None:
    assert lacking_steps(LOG, [1, 2, 3], 3) == lacking_steps(LOG, [], 0) == []


def test_the_end_of_a_log_is_missed_only_where_the_training_is_finished() -> None:
    run, summary = RunFolder(Path("run")), {"steps": 4}
    assert lacking_lines(run, [1, 2, 3], [0, 2], None) == lacking_lines(run, [], [], None) == []
    assert lacking_lines(run, [1, 2, 3, 4], [0, 2, 4], summary) == []
    assert lacking_lines(run, [1, 2, 3], [0, 2], summary) == [
        "train/steps.jsonl lacks 1 of the lines of 4 steps, the first is that of step 4",
        "train/evals.jsonl lacks the last evaluation, that after step 4",
    ]
    assert lacking_lines(run, [1, 3], [], None) == [
        "train/steps.jsonl lacks 1 of the lines of 3 steps, the first is that of step 2"
    ]
