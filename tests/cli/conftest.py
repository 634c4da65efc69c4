import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lorascope.cli.app import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `lorascope` in this process, as its entry point would: call("prepare", "rows.json", ...)."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ended(code=code if isinstance(code, int) else int(code is not None), out=out, err=err)

    return run


@pytest.fixture(scope="session")
def prepared_run(alpaca_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 rows that is prepared and not checked. Copy it: see `work`."""
    import json

    from lorascope.prepare.stage import prepare_run
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    folder = tmp_path_factory.mktemp("prepared")
    rows = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}!"} for number in range(20)]
    (folder / "rows.json").write_text(json.dumps(rows))
    recipe = make_recipe({"base": str(alpaca_base), "data": str(folder / "rows.json")})
    prepare_run(RunFolder(folder / "first"), recipe)
    return folder / "first"


@pytest.fixture
def work(prepared_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with rows.json and runs/first; commands run in it."""
    folder = tmp_path / "work"
    shutil.copytree(prepared_run, folder / "runs" / "first")
    shutil.copy(prepared_run.parent / "rows.json", folder)
    monkeypatch.chdir(folder)
    return folder
