"""Telling what a path holds, and saying so when it holds nothing."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from lorascope.diagnose.logs import content
from lorascope.diagnose.logs.open_log import open_log
from lorascope.errors import NothingLogged, RunError, parts

LINE = '{"step": 1, "loss": 2.5}\n'


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for name, text, form in [
        ("a.csv", LINE + LINE, "JSONL"),
        ("b.json", "step,loss\n1,2.5\n", "CSV"),
        ("c.jsonl", '{"log_history": [{"loss": 2.5, "step": 1}]}', "trainer_state.json of transformers"),
        ("d.csv", "{'loss': 2.5}\n{'loss': 2.25}\n", "text"),
        ("e.txt", '[{"step": 1, "loss": 2.5}]', "JSON"),
    ]:
        (tmp_path / name).write_text(text)
        assert open_log(tmp_path / name).format == form


def test_a_history_inside_of_other_things_is_found(tmp_path: Path) -> None:
    path = tmp_path / "training_log.json"
    path.write_text('{"status": "complete", "config": {"lr": 1}, "results": {"history": [' + LINE + "]}}")
    assert open_log(path).train.loss.tolist() == [2.5]


def test_a_gzipped_log_is_read_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(LINE.encode()))
    assert open_log(path).train.loss.tolist() == [2.5]
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(RunError, match="the file cannot be read"):
        open_log(path)


def test_a_missing_path_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").touch()
    with pytest.raises(RunError, match='did you mean "trainer_state.json"'):
        open_log(tmp_path / "trainer_stat.json")


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("\n")
    with pytest.raises(RunError, match="the file is empty"):
        open_log(tmp_path / "log.jsonl")


def test_a_folder_without_a_log_says_what_would_be_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    with pytest.raises(RunError) as caught:
        open_log(tmp_path)
    told = parts(caught.value.message)
    assert told["problem"] == "the folder holds no training log" and "TensorBoard" in told["why"]


def test_the_only_log_of_a_folder_is_read_and_of_several_none_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINE)
    (tmp_path / "README.md").write_text("a model")
    assert open_log(tmp_path).path == tmp_path / "a.jsonl"
    (tmp_path / "b.csv").write_text("step,loss\n1,2.5\n")
    with pytest.raises(RunError, match="holds 2 files that may be logs"):
        open_log(tmp_path)


def test_a_run_folder_of_wandb_is_read_from_its_output_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "output.log").write_text("{'loss': 2.5}\n")
    run = open_log(tmp_path)
    assert run.train.loss.tolist() == [2.5]
    assert "only output.log" in run.problems[0] and "wandb sync" in run.problems[0]
    (tmp_path / "run-5nn9.wandb").write_bytes(b":W&B\xe1\xbe\x00")  # with a history in which nothing stands
    assert open_log(tmp_path).train.loss.tolist() == [2.5]


def test_a_run_folder_of_wandb_that_tells_no_loss_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "output.log").write_text("hello\n")
    with pytest.raises(RunError, match=r"(?s)run folder of W&B.*wandb sync"):
        open_log(tmp_path)
    for data in (b":W&B\xe1\xbe\x00", b":W&B\xe1\xbe\x00torn", b":W&B"):
        (tmp_path / "run-5nn9.wandb").write_bytes(data)
        with pytest.raises(
            NothingLogged, match=r"(?s)run file holds no history.*run-5nn9\.wandb.*wandb sync"
        ):
            open_log(tmp_path)


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04\x00\x00\x00", b"\x00" * 50, b"{", b"[]", b"[1, 2]", b'"loss"', b"{}"]
)
def test_what_is_no_log_is_refused_and_never_crashes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(RunError) as caught:
        open_log(tmp_path / "x")
    assert set(parts(caught.value.message)) == {"problem", "where", "why", "fix"}


def test_every_step_of_our_callback_is_read_before_the_means_of_the_trainer(tmp_path: Path) -> None:
    state = {"global_step": 5, "max_steps": 10, "log_history": [{"step": 5, "loss": 2.0}]}
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "lorascope.jsonl").touch()  # nothing in it yet: the Trainer's own is all there is
    assert open_log(tmp_path).train.step.tolist() == [5]
    lines = [{"step": step, "loss": float("nan") if step == 3 else 2.5} for step in range(1, 8)]
    (tmp_path / "lorascope.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = open_log(tmp_path)
    assert run.train.step.tolist() == [1, 2, 3, 4, 5, 6, 7] and run.train.loss_not_finite[2]
    assert run.problems[0].startswith("checkpoint-5/trainer_state.json was passed over for lorascope.jsonl")


def test_a_pipe_is_read_whole_as_the_file_would_be(tmp_path: Path) -> None:
    # 3,000 lines of 25 bytes and more exceed the 64 KiB that a pipe holds: it is written while it is read.
    text = "".join(f'{{"step": {step}, "loss": 2.5}}\n' for step in range(1, 3001))
    pipe = tmp_path / "log.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[text], daemon=True)
    writer.start()
    run = open_log(pipe)
    writer.join()
    assert run.format == "JSONL" and run.train.step.tolist() == list(range(1, 3001)) and run.problems == ()


def test_an_event_file_comes_through_a_pipe_too(tmp_path: Path) -> None:
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    data = (Path(__file__).parent / "written" / "events.out.tfevents.1795316154.writer").read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=[data], daemon=True)
    writer.start()
    assert open_log(pipe).train.loss[:2].tolist() == [2.5, 1.25]  # as its writer was told
    writer.join()


def test_a_pipe_without_a_writer_and_a_device_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_FIRST_WAIT_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="nothing came out of the pipe"):
        open_log(tmp_path / "pipe")
    with pytest.raises(RunError, match="neither a file nor a pipe"):
        open_log("/dev/zero")


def test_a_table_whose_first_row_is_too_long_is_read_from_its_whole_rows(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n0,2.75,x,y\n1,2.5\n2,2.25\n3,2.0,z\n")
    run = open_log(tmp_path / "log.csv")
    assert run.train.step.tolist() == [1, 2] and run.train.loss.tolist() == [2.5, 2.25]
    assert run.problems[0].startswith("2 rows were passed over")


def test_a_table_with_only_a_header_has_no_rows_yet(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss,eval_loss\n")
    with pytest.raises(RunError, match="a header and no rows yet"):
        open_log(tmp_path / "log.csv")


def test_nuls_at_the_ends_of_lines_are_passed_over_and_told(tmp_path: Path) -> None:
    lines = b'{"step": 1, "loss": 2.5}\n\0\0{"step": 2, "loss": 2.25}\n' + bytes(100)
    for name, data in (
        ("a.jsonl", lines),
        ("b.txt", b"step 1 loss: 2.5\0\r\nstep 2 loss: 2.25\n" + bytes(101)),
    ):
        (tmp_path / name).write_bytes(data)
        run = open_log(tmp_path / name)
        assert run.train.loss.tolist() == [2.5, 2.25] and "102 NUL bytes" in run.problems[0]
