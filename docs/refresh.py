"""Runs the commands shown in the docs and puts their real output beneath them.

A ```console block holds lines that start with "$ " and what each printed. `python docs/refresh.py FOLDER`
runs them all, page by page in the order below, in FOLDER (with my_rows.jsonl and starter-base made from the
bundled starter), and rewrites the pages. The tests run the same commands in the same order.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
PAGES = (
    "prepare.md",
    "check.md",
    "train.md",
    "eval.md",
    "compare.md",
    "diagnose.md",
    "export.md",
    "report.md",
    "run.md",
)
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands_of(page: Path) -> list[str]:
    """The commands of a page, in order."""
    return [
        line[2:]
        for block in _BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def make_ready(folder: Path) -> None:
    """Put the files that the commands name into a folder: rows, base model and unrelated text of the starter."""
    from lorascope.starter.files import copy_files

    copy_files(folder)
    write_other_log(folder / "other")


def write_other_log(folder: Path) -> None:
    """A trainer_state.json as transformers leaves it, made up: training rows fall, evaluations turn at step 60."""
    history: list[dict[str, float]] = []
    for step in range(2, 161, 2):
        wave = 0.02 * (step * 7 % 11 - 5) / 5  # no random numbers: the page must come out the same
        loss = 1.9 * 0.985**step + 0.25 + wave
        rate = 2e-4 * (1 - step / 160)
        history.append({"step": step, "epoch": step / 40, "loss": round(loss, 4), "learning_rate": rate})
        if step % 20 == 0:
            turned = 0.004 * max(0, step - 60)
            evaluation = 0.95 + 0.9 * 0.96**step + turned + 0.003 * (step // 20 % 2)
            history.append({"step": step, "epoch": step / 40, "eval_loss": round(evaluation, 4)})
    folder.mkdir()
    state = {"global_step": 160, "max_steps": 160, "num_train_epochs": 4, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")


def refreshed(text: str, run: Callable[[str], str]) -> str:
    """A page with the output of each of its console blocks made anew."""

    def again(match: re.Match[str]) -> str:
        lines = []
        for command in (line for line in match.group(1).splitlines() if line.startswith("$ ")):
            lines += [command, *run(command[2:]).rstrip().splitlines()]
        return "```console\n" + "\n".join(lines) + "\n```"

    return _BLOCK.sub(again, text)


def main() -> None:
    """Refresh every page that there is."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    make_ready(folder)
    binary = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binary}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}

    def run(command: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout.replace(f"{folder}{os.sep}", "")  # a page names no folder of the machine that made it

    for page in (HERE / name for name in PAGES):
        if page.is_file():
            page.write_text(refreshed(page.read_text(encoding="utf-8"), run), encoding="utf-8")


if __name__ == "__main__":
    main()
