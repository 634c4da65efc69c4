"""Run files of W&B: built byte by byte, and as W&B itself writes them."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.diagnose.logs.open_log import open_log
from lorascope.diagnose.logs.wandb_file import history_of

FILE_HEADER = b":W&B\xe1\xbe\x00"
BLOCK = 1 << 15


def number(value: int) -> bytes:
    """A whole number as protobuf writes it: seven bits a byte, the lowest first; the eighth says: go on."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(high) if high else bytes([low])


def field(at: int, value: bytes) -> bytes:
    return number(at << 3 | 2) + number(len(value)) + value


def line(**values: Any) -> bytes:
    """A record of history: in field 2, each item in field 1, its name in 2 and its value as JSON in 16."""
    items = [
        field(1, field(2, name.encode()) + field(16, json.dumps(one).encode()))
        for name, one in values.items()
    ]
    return field(2, b"".join(items))


def part(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data


def test_what_was_logged_is_read_and_nothing_else() -> None:
    nested = field(2, field(1, field(2, b"outer") + field(2, b"inner") + field(16, b"3")))
    typed = [
        number(5 << 3) + number(5),  # zigzag: -3
        number(6 << 3 | 1) + struct.pack("<d", 0.25),
        field(8, b"[1]"),
        field(7, b"a text"),  # which no curve needs
    ]
    items = b"".join(field(1, field(2, f"n{at}".encode()) + one) for at, one in enumerate(typed))
    records = [field(3, b"a summary"), line(loss=1.5, _step=0), nested, field(2, items)]
    data = FILE_HEADER + b"".join(part(1, one) for one in records)
    assert history_of(data) == (
        [{"loss": 1.5, "_step": 0}, {"outer/inner": 3}, {"n0": -3, "n1": 0.25, "n2": [1]}],
        [],
    )


def test_a_record_that_is_longer_than_a_block_is_put_together() -> None:
    record = line(loss=2.0, text="x" * (2 * BLOCK))
    first = BLOCK - len(FILE_HEADER) - 7  # what a block has left behind its header and the record's
    second = BLOCK - 7
    cut = [record[:first], record[first : first + second], record[first + second :]]
    data = FILE_HEADER + b"".join(part(kind, one) for kind, one in zip((2, 3, 4), cut, strict=True))
    history, passed_over = history_of(data)
    assert passed_over == [] and [one["loss"] for one in history] == [2.0]
    assert history_of(data[: 2 * BLOCK]) == ([], [])  # W&B writes whole blocks: the rest comes later


def test_a_block_without_room_for_a_header_is_filled_up() -> None:
    room = BLOCK - len(FILE_HEADER) - 7 - 5  # so that five bytes are left
    texts = ("x" * size for size in range(room - 100, room))
    record = next(one for one in (line(loss=1.0, text=text) for text in texts) if len(one) == room)
    data = FILE_HEADER + part(1, record) + bytes(5) + part(1, line(loss=0.5))
    assert [one["loss"] for one in history_of(data)[0]] == [1.0, 0.5] and history_of(data)[1] == []


def test_a_file_that_ends_in_a_damaged_record_gives_what_is_before_it(tmp_path: Path) -> None:
    whole = FILE_HEADER + b"".join(part(1, line(**{"train/loss": 2.0, "_step": at})) for at in range(30))
    last = len(part(1, line(**{"train/loss": 2.0, "_step": 29})))
    path = tmp_path / "run-1.wandb"
    for data in (whole[:-1], whole[: -last + 3], whole[:-1] + b"?"):
        path.write_bytes(data)
        run = open_log(path)
        assert len(run.train) == 29
        assert run.problems[0] == (
            "run-1.wandb is damaged or still being written: 29 lines before that were read"
        )


def file_of(num_lines: int) -> tuple[bytes, list[int]]:
    """A run file whose records are cut at the ends of blocks, and where each of its lines begins."""
    data, begins = FILE_HEADER, []
    for at in range(num_lines):
        record, kind = line(loss=2.0, _step=at), 0
        while kind not in (1, 4):
            room = BLOCK - len(data) % BLOCK
            if room < 7:  # no header fits
                data, room = data + bytes(room), BLOCK
            if kind == 0:
                begins.append(len(data))
            taken, record = record[: room - 7], record[room - 7 :]
            kind = {0: 2, 2: 3, 3: 3}[kind] if record else {0: 1, 2: 4, 3: 4}[kind]
            data += part(kind, taken)
    return data, begins


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def steps(data: bytes) -> list[int]:
    return [one["_step"] for one in history_of(data)[0]]


def test_a_flipped_bit_in_what_was_logged_costs_one_line_and_is_told(tmp_path: Path) -> None:
    data, begins = file_of(3000)
    assert len(data) > 3 * BLOCK and steps(data) == list(range(3000)) and history_of(data)[1] == []
    damaged = flipped(data, begins[1000] + 20)  # behind its header of 7 bytes
    assert steps(damaged) == [at for at in range(3000) if at != 1000]
    path = tmp_path / "run-1.wandb"
    path.write_bytes(damaged)
    run = open_log(path)
    assert len(run.train) == 2999
    size = begins[1001] - begins[1000]
    assert run.problems == (
        f"run-1.wandb is damaged in 1 place, the first at byte {begins[1000]:,}: {size:,} of {len(data):,} "
        "bytes were passed over, and points may be missing there",
    )


def test_a_flipped_bit_in_a_length_costs_the_rest_of_its_block() -> None:
    data, begins = file_of(3000)
    damaged = flipped(data, begins[100] + 4)  # the low byte of the length
    # Of the first block all from there on is lost, with the record that is cut at its end.
    behind = next(number for number, at in enumerate(begins) if at >= BLOCK)
    assert steps(damaged) == [*range(100), *range(behind, 3000)]
    assert history_of(damaged)[1] == [(begins[100], begins[behind])]


def test_a_record_of_several_parts_is_lost_with_one_of_them_and_never_joined_to_another() -> None:
    long = line(loss=1.0, text="x" * (2 * BLOCK))
    first, second = BLOCK - len(FILE_HEADER) - 7, BLOCK - 7
    cut = [long[:first], long[first : first + second], long[first + second :]]
    parts = [part(kind, one) for kind, one in zip((2, 3, 4), cut, strict=True)]
    data = FILE_HEADER + b"".join(parts) + part(1, line(loss=0.5, _step=7))
    for number in range(3):
        at = len(FILE_HEADER) + sum(map(len, parts[:number])) + 9
        history, passed_over = history_of(flipped(data, at))
        assert history == [{"loss": 0.5, "_step": 7}]
        assert passed_over == [(len(FILE_HEADER), len(FILE_HEADER) + sum(map(len, parts)))]


def test_a_whole_record_that_is_no_message_costs_only_itself() -> None:
    parts = [part(1, line(loss=2.0, _step=0)), part(1, b"\xff"), part(1, line(loss=1.0, _step=2))]
    data = FILE_HEADER + b"".join(parts)
    begin = len(FILE_HEADER) + len(parts[0])
    assert steps(data) == [0, 2] and history_of(data)[1] == [(begin, begin + len(parts[1]))]


def test_of_several_run_files_the_newest_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    for name, loss, changed in (("offline-run-1-a", 3.0, 100), ("offline-run-2-b", 2.0, 200)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"run-{name[-1]}.wandb"
        path.write_bytes(FILE_HEADER + part(1, line(**{"train/loss": loss})))
        os.utime(path, (changed, changed))
    run = open_log(tmp_path)
    assert run.train.loss.tolist() == [2.0]
    assert run.problems == (
        "the folder holds 2 run files of W&B: the newest, run-b.wandb, was read, not run-a.wandb",
    )


def test_the_folder_in_which_the_command_was_run_will_do(tmp_path: Path) -> None:
    kept = tmp_path / "wandb" / "offline-run-1"
    kept.mkdir(parents=True)
    records = [line(loss=2.0 - 0.1 * step, _step=step) for step in range(9)]
    (kept / "run-1.wandb").write_bytes(FILE_HEADER + b"".join(part(1, one) for one in records))
    assert len(open_log(tmp_path).train) == 9


LOGS_OFFLINE = """
import math, sys, wandb
run = wandb.init(project="p", dir=sys.argv[1], mode="offline", settings=wandb.Settings(console="off"))
for step in range(1, 201):
    run.log({"train/loss": 2.0 * 0.99**step, "train/learning_rate": 1e-4, "train/global_step": step})
    if step % 50 == 0:
        run.log({"eval/loss": 2.1 * 0.99**step, "train/global_step": step})
run.log({"train/loss": math.nan, "train/global_step": 201})
run.finish()
"""


@pytest.mark.end_to_end
def test_an_offline_run_that_wandb_wrote_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    environment = {**os.environ, "WANDB_SILENT": "true", "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", LOGS_OFFLINE, str(tmp_path)],
        check=True,
        timeout=120,
        capture_output=True,
        env=environment,
    )
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("run-*.wandb")
    assert file.stat().st_size > 2 * BLOCK  # records lie across the ends of blocks
    for given in (file, folder, tmp_path / "wandb"):
        run = open_log(given)
        assert run.format == "run file of W&B" and run.problems == ()
        assert run.train.step.tolist() == list(range(1, 202))
        assert run.train.loss[:200] == pytest.approx([2.0 * 0.99**step for step in range(1, 201)])
        assert run.train.loss_not_finite.tolist() == [False] * 200 + [True]
        assert run.evals.step.tolist() == [50, 100, 150, 200]
        assert run.evals.loss == pytest.approx([2.1 * 0.99**step for step in (50, 100, 150, 200)])
    with pytest.raises(SystemExit):
        main(["watch", str(folder), "--once"])
    assert "step 200: training" in capsys.readouterr().out
