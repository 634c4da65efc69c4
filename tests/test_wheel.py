"""The wheel works by itself: in the light install, and with the train extra from any folder."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    return next(out.glob("lorascope-*.whl"))


def _environment(folder: Path, *, borrow: bool) -> Path:
    """A new virtual environment; with `borrow` it sees this one's packages behind its own."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    if borrow:
        own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _lorascope(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python.parent / "lorascope"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_wheel_runs_the_demo_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "env", borrow=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    somewhere = tmp_path / "somewhere"
    somewhere.mkdir()
    where = "import lorascope.starter as s; print(s.__file__)"
    found = subprocess.run([str(python), "-c", where], capture_output=True, text=True, cwd=somewhere).stdout
    assert str(tmp_path / "env") in found  # the installed wheel, not this checkout
    done = _lorascope(
        python, "demo", "--json", "--set", "train.epochs=0.1", "--set", "eval.generate=4", cwd=somewhere
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (somewhere / "runs" / "demo" / "report.html").is_file()
    assert result["eval"]["adapter"]["eval_loss"] < result["eval"]["base"]["eval_loss"]


def test_the_light_install_helps_diagnoses_and_reports(wheel: Path, tmp_path: Path) -> None:
    made = subprocess.run(
        [
            str(Path(sys.executable).parent / "lorascope"),
            "demo",
            "--set",
            "train.epochs=0.1",
            "--out",
            str(tmp_path / "run"),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    python = _environment(tmp_path / "light", borrow=False)
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    assert subprocess.run([str(python), "-c", "import torch"], capture_output=True).returncode != 0
    for arguments in (["--help"], ["diagnose", "run"], ["report", "run"]):
        done = _lorascope(python, *arguments, cwd=tmp_path)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    refused = _lorascope(python, "train", "run", "--overwrite", cwd=tmp_path)
    assert refused.returncode == 1
    assert 'pip install "lorascope[train]"' in refused.stderr
    assert "Traceback" not in refused.stderr
