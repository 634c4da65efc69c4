"""What all commands share: paths in the home folder, suggested commands, output that nobody reads."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main

pytestmark = pytest.mark.end_to_end

# Paths


@pytest.mark.parametrize("option", [["--out", "~/runs/new"], ["--out=~/runs/new"]])
def test_a_tilde_that_the_shell_left_is_the_home_folder(
    option: list[str],
    call: Callable[..., Any],
    work: Path,
    alpaca_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(work))
    shutil.copytree(alpaca_base, work / "base")
    ended = call("prepare", "~/rows.json", "--base", "~/base", *option)
    assert ended.code == 0, ended.err
    assert (work / "runs" / "new" / "config.json").is_file()
    assert not (work / "~").exists()
    assert f"next: lorascope check {work}/runs/new" in ended.out


def test_a_tilde_in_a_setting_is_the_home_folder(
    call: Callable[..., Any], work: Path, alpaca_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(work))
    (work / "held.json").write_text('[{"instruction": "New.", "output": "Yes."}]')
    setting = "prepare.validation=~/held.json"
    ended = call("prepare", "rows.json", "--base", alpaca_base, "--out", "runs/new", "--set", setting)
    assert ended.code == 0, ended.err
    assert "held.json for validation: 1 row;" in ended.out


# Suggested commands


def test_the_next_command_can_be_pasted(call: Callable[..., Any], work: Path, alpaca_base: Path) -> None:
    ended = call("prepare", "rows.json", "--base", alpaca_base, "--out", "my runs/it's; new")
    following = ended.out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(following) == ["lorascope", "check", "my runs/it's; new"]
    ended = call(*shlex.split(following)[1:])
    assert shlex.split(ended.out.splitlines()[-1].removeprefix("next: ")) == [
        "lorascope",
        "train",
        "my runs/it's; new",
    ]


# Output that nobody reads


class Closed(io.StringIO):
    """A pipe whose reader goes away after some lines; its descriptor is that of a file of its own."""

    def __init__(self, num_lines: int, file: Path) -> None:
        super().__init__()
        self.left, self.descriptor = num_lines, os.open(file, os.O_CREAT | os.O_WRONLY)

    def write(self, text: str) -> int:
        self.left -= text.count("\n")
        if self.left < 0:
            raise BrokenPipeError
        return len(text)

    def fileno(self) -> int:
        return self.descriptor


# 3: within the checks, which click prints; 15: within the examples, which rich prints.
@pytest.mark.parametrize("num_lines", [3, 15])
def test_a_reader_that_goes_away_ends_the_command_with_141(
    num_lines: int, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed(num_lines, work.parent / "pipe"))
    with pytest.raises(SystemExit) as ended:
        main(["check", "runs/first", "--show", "20"])
    assert ended.value.code == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "nowhere", "--json"]])
def test_a_closed_pipe_leaves_no_word_behind(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lorascope", *arguments]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["diagnose", "log.csv"], ["watch", "log.csv", "--once"]])
def test_output_that_cannot_be_written_is_one_message_and_status_1(
    arguments: list[str], unbuffered: str, tmp_path: Path
) -> None:
    lines = [f"{step},{2 - step / 100}" for step in range(1, 41)]
    (tmp_path / "log.csv").write_text("\n".join(["step,loss", *lines]) + "\n")
    command, env = (
        [sys.executable, "-m", "lorascope", *arguments],
        {**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("given", [["eval", "--json", "--bogus"], ["train", "--json"]])
def test_wrong_usage_with_json_is_an_error_object_too(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(given)
    assert stopped.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"


# Preparing again, and looking at examples


def test_preparing_again_leaves_the_settings_of_later_stages_as_they_are(
    call: Callable[..., Any], work: Path, alpaca_base: Path
) -> None:
    words = ("prepare", "rows.json", "--base", alpaca_base, "--out", "runs/first", "--overwrite")
    assert call(*words, "--set", "train.learning_rate=0.003", "--set", "lora.rank=4").code == 0
    assert call(*words, "--set", "prepare.validation=5").code == 0
    config = json.loads((work / "runs/first/config.json").read_text())
    assert (config["train"]["learning_rate"], config["lora"]["rank"]) == (0.003, 4)
    assert config["prepare"]["validation"] == 5


def test_shown_examples_are_in_the_json_too(call: Callable[..., Any], work: Path) -> None:
    plain = json.loads(call("check", "runs/first", "--json").out)
    told = json.loads(call("check", "runs/first", "--json", "--show", 2).out)
    shown = told.pop("shown")
    assert told == plain
    assert len(shown) == 2
    learnt = ["".join(piece["text"] for piece in one["pieces"] if piece["is_target"]) for one in shown]
    # The rows say "0!" to "19!", and their end is learnt.
    assert all(re.fullmatch(r"\d+!<\|endoftext\|>", text) for text in learnt)


def test_the_starter_is_written_as_files_to_try_commands_on(call: Callable[..., Any], work: Path) -> None:
    shutil.rmtree(work / "runs")
    ended = call("demo", "--files", "try")
    assert ended.code == 0, ended.err
    assert len((work / "try" / "my_rows.jsonl").read_text().splitlines()) == 300
    following = shlex.split(ended.out.splitlines()[-1].removeprefix("next: "))
    assert call(*following[1:]).code == 0
    again = call("demo", "--files", "try")
    assert again.code == 1
    assert "is there already" in again.err


def test_an_overlap_with_training_is_priced(call: Callable[..., Any], work: Path, alpaca_base: Path) -> None:
    rows = json.loads((work / "rows.json").read_text())
    held = [*rows[:6], *({"instruction": f"Sing {n}.", "output": f"La {n}."} for n in range(8))]
    (work / "held.json").write_text(json.dumps(held))
    words = ("--set", "prepare.validation=held.json", "--set", "check.allow=[overlap]")
    assert call("prepare", "rows.json", "--base", alpaca_base, "--out", "runs/leak", *words).code == 0
    assert call("train", "runs/leak", "--set", "train.epochs=1", "--set", "check.allow=[overlap]").code == 0
    ended = call("eval", "runs/leak")
    assert ended.code == 0, ended.err
    assert "overlap with training: none: 8 examples, base " in ended.out
    assert "overlap with training: same: 6 examples, base " in ended.out
    groups = json.loads(call("eval", "runs/leak", "--json").out)["adapter"]["by_group"]
    assert {name: one["num_examples"] for name, one in groups["overlap with training"].items()} == {
        "none": 8,
        "same": 6,
    }
    assert set(groups) == {"overlap with training"}  # all of them come from one file
