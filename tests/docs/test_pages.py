"""The docs are true: every command they show runs, the Python they show runs, and the made pages are up to
date.
"""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(command: str) -> int:
    from lorascope.cli.app import main

    program, *arguments = shlex.split(command)
    assert program == "lorascope", f"the docs show a command that is not ours: {command}"
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.xdist_group("docs")
def test_every_command_of_the_docs_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh = _load("refresh")
    refresh.make_ready(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = [(page, command) for page in refresh.PAGES for command in refresh.commands_of(DOCS / page)]
    assert len(shown) >= 12
    for page, command in shown:
        assert _run(command) == 0, f"{page}: {command}\n{capsys.readouterr().err}"
    code = re.search(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    exec(compile(code.group(1), "docs/python.md", "exec"), {})
    assert (
        "healthy" in (printed := capsys.readouterr().out) or "evidence" in printed or "improving" in printed
    )


@pytest.mark.xdist_group("docs")
def test_the_five_minutes_of_the_readme_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # "gpt2" is a folder here, so that the commands need no network.
    _load("refresh").make_ready(tmp_path)
    (tmp_path / "starter-base").rename(tmp_path / "gpt2")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [
        line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    commands = [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]
    ours = [command for command in commands if command.startswith("lorascope ")]
    assert len(ours) == 10  # doctor, run, and the eight stages
    for command in ours:
        assert _run(command) == 0, f"{command}\n{capsys.readouterr().err}"
    others = {command.split()[0] for command in commands} - {"lorascope"}
    assert others == {"make", "pip"}  # CI calls the make targets, test_wheel.py installs by pip


def test_settings_and_commands_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *DOCS.glob("*.md"),
        *(DOCS / "decisions").glob("*.md"),
    ]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_stage_has_a_page_a_command_and_a_package() -> None:
    from lorascope.run.folder import STAGES

    for stage in STAGES:
        assert (DOCS / f"{stage}.md").is_file()
        assert (ROOT / "src" / "lorascope" / stage).is_dir()
        assert (ROOT / "src" / "lorascope" / "cli" / f"{stage}.py").is_file()
