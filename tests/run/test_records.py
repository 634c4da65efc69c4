import contextlib
import json
import math
import os
import resource
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.records import (
    EvalRecord,
    LineLog,
    SetScore,
    StepRecord,
    append_line,
    read_evals,
    read_json,
    read_lines,
    read_steps,
    rewrite_lines,
)

STEP = StepRecord(
    step=1,
    epoch=0.125,
    loss=2.5,
    target_tokens=100,
    num_examples=16,
    learning_rate=2e-4,
    grad_norm=0.75,
    seconds=0.5,
)
SCORE = SetScore(
    loss=1.5, low=1.25, high=1.75, num_examples=2, target_tokens=6, nll_sums=(3.0, 6.0), num_tokens=(2, 4)
)
EVAL = EvalRecord(
    step=0, epoch=0.0, full=False, precision="float32", probe=SCORE, validation=None, seconds=1.0
)


def test_steps_round_trip_through_disk(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    unfinished = replace(STEP, step=2, loss=None, grad_norm=None, why="loss is not finite")
    for record in (STEP, unfinished):
        append_line(path, record)
    assert read_steps(path) == [STEP, unfinished]
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_line_waits_for_the_disk_and_those_of_an_open_log_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "steps.jsonl"
    waited: list[int] = []
    log = LineLog(path)
    log.to_disk()
    assert not path.exists()
    append_line(path, STEP)
    monkeypatch.setattr(os, "fsync", waited.append)
    log.append(STEP)
    log.append(STEP)
    assert waited == [] and read_steps(path) == [STEP, STEP, STEP]  # a reader sees them all the same
    log.to_disk()
    append_line(path, STEP)
    assert len(waited) == 2
    log.close()
    log.to_disk()
    assert len(waited) == 2


def test_a_log_that_is_moved_while_it_is_open_goes_on_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with contextlib.closing(LineLog(path)) as log:
        log.append(STEP)
        path.rename(tmp_path / "moved.jsonl")
        log.append(replace(STEP, step=2))
        rewrite_lines(path, [STEP])  # another file in its place
        log.append(replace(STEP, step=3))
        path.unlink()
        log.append(replace(STEP, step=4))
        assert [record.step for record in read_steps(path)] == [4]
    assert read_steps(tmp_path / "moved.jsonl") == [STEP]


def test_an_open_log_of_which_the_disk_took_half_a_line_says_so_and_glues_nothing_to_it(
    tmp_path: Path,
) -> None:
    # A limit on the size of a file stands in for a full disk: it takes the bytes up to it, and no more.
    path = tmp_path / "steps.jsonl"
    with contextlib.closing(LineLog(path)) as log:
        log.append(STEP)
        size = path.stat().st_size
        before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, most))
        try:
            with pytest.raises(RunError, match=r"steps\.jsonl"):
                log.append(replace(STEP, step=2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
        assert path.stat().st_size == size + 40
        log.append(replace(STEP, step=3))
    broken: list[int] = []
    assert [record.step for record in read_steps(path, broken)] == [1, 3] and broken == [2]


def test_evaluations_round_trip_through_disk(tmp_path: Path) -> None:
    path = tmp_path / "evals.jsonl"
    full = replace(EVAL, step=9, full=True, validation=replace(SCORE, low=None, high=None))
    for record in (EVAL, full):
        append_line(path, record)
    assert read_evals(path) == [EVAL, full]


def test_a_float_survives_to_the_last_bit(tmp_path: Path) -> None:
    loss = math.nextafter(2.0, 3.0)
    append_line(tmp_path / "steps.jsonl", replace(STEP, loss=loss))
    assert read_steps(tmp_path / "steps.jsonl")[0].loss == loss


def test_a_number_that_is_not_finite_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(tmp_path / "steps.jsonl", replace(STEP, loss=float("nan")))
    assert not (tmp_path / "steps.jsonl").exists()


def test_a_log_cut_at_any_byte_keeps_every_whole_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    records = [replace(STEP, step=step) for step in (1, 2, 3)]
    rewrite_lines(whole, records)
    data = whole.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for length in range(len(data) + 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(data[:length])
        kept = sum(end - 1 <= length for end in ends)  # without its newline a line is whole too
        assert read_steps(cut) == records[:kept]


def test_a_line_after_a_torn_one_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append_line(path, STEP)
    path.write_bytes(path.read_bytes() + b'{"step": 2, "epo')
    append_line(path, replace(STEP, step=3))
    assert [record.step for record in read_steps(path)] == [1, 3]


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "nowhere.jsonl")) == []


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"a": 1}\n[1]\n3\n\n\xff\xfe\n{"a": 2}\n')
    assert list(read_lines(tmp_path / "log.jsonl")) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", [{"step": 1}, {**asdict(STEP), "colour": "red"}])
def test_a_line_with_other_fields_is_our_error(line: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(RunError, match=r"did not write"):
        read_steps(tmp_path / "steps.jsonl")


def test_an_evaluation_without_its_scores_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "evals.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(RunError, match=r"did not write"):
        read_evals(tmp_path / "evals.jsonl")


def test_a_log_is_rewritten_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    for step in (1, 2, 3):
        append_line(path, replace(STEP, step=step))
    rewrite_lines(path, read_steps(path)[:2])
    assert [record.step for record in read_steps(path)] == [1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["steps.jsonl"]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "null", "\udcff"])
def test_a_json_record_that_is_missing_or_damaged_is_our_error(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "prepare" / "report.json"
    path.parent.mkdir()
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match="lorascope prepare"):
        read_json(path)


def test_a_json_record_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"schema": 1, "a": [1, null]}')
    assert read_json(tmp_path / "report.json") == {"schema": 1, "a": [1, None]}


def test_json_that_is_no_record_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path / "report.json")


def test_lines_that_cannot_be_read_are_told_but_for_a_torn_last_one(tmp_path: Path) -> None:
    path = tmp_path / "evals.jsonl"
    append_line(path, EVAL)
    whole = path.read_text()
    path.write_text(f"{whole}garbage\n\n{whole[:40]}\n{whole}3\n{whole[:50]}")
    broken: list[int] = []
    assert read_evals(path, broken) == [EVAL, EVAL]
    assert broken == [2, 4, 6]  # 3 is blank, 7 is being written
