import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorascope.doctor import hub, storage
from lorascope.doctor.examine import examine

pytestmark = pytest.mark.end_to_end

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = "import typer; from lorascope.cli.doctor import doctor; typer.run(doctor)"
TRAIN = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "sacrebleu")


def run_doctor(
    *arguments: str, home: Path, path: Path = SOURCE, site: bool = True, **environ: str
) -> tuple[int, str, str]:
    """Run the command in a fresh process without any setting of this machine's."""
    mine = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(path), "COLUMNS": "200"}
    flags = ["-W", "error"] + ([] if site else ["-S"])
    done = subprocess.run(
        [sys.executable, *flags, "-c", COMMAND, *arguments],
        env=mine | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    code, printed, errors = run_doctor("--json", home=tmp_path)
    said = json.loads(printed)
    assert set(said) == {"checks", "ok"}
    assert all(set(check) == {"name", "status", "found", "fix"} for check in said["checks"])
    assert said["ok"] is all(check["status"] != "fail" for check in said["checks"])
    assert (code, errors) == (0 if said["ok"] else 1, "")


def test_a_missing_config_ends_with_status_1_and_a_fix(tmp_path: Path) -> None:
    code, printed, errors = run_doctor("--config", str(tmp_path / "absent.yaml"), home=tmp_path)
    assert (code, errors) == (1, "")
    assert "absent.yaml does not exist" in printed
    assert "fix:" in printed
    assert "not ready" in printed.splitlines()[-1]


def test_a_light_install_is_examined_and_told_what_to_add(tmp_path: Path) -> None:
    """The light install is this one without the packages of the extra, seen by a Python without site."""
    packages = Path(pytest.__file__).parents[1]
    light = tmp_path / "light"
    light.mkdir()
    for entry in packages.iterdir():
        name = entry.name.lower()
        if not name.startswith((*TRAIN, "huggingface_hub", "functorch", "torchgen", "__editable__")):
            (light / entry.name).symlink_to(entry)
    code, printed, errors = run_doctor(
        "--json", home=tmp_path, path=Path(f"{light}{os.pathsep}{SOURCE}"), site=False
    )
    assert errors == ""
    checks = {check["name"]: check for check in json.loads(printed)["checks"]}
    assert code == 0
    assert checks["torch"]["fix"] == 'pip install "lorascope[train]"'
    assert "gpu" not in checks


def test_no_token_is_shown(tmp_path: Path) -> None:
    secrets = {
        "HF_TOKEN": "hf_canaryTOKENcanary",
        "HF_ENDPOINT": "https://me:canaryPASS@mirror.example/?key=canaryKEY",
    }
    _, printed, errors = run_doctor(home=tmp_path, **secrets)
    assert "canary" not in printed + errors
    assert "a token is set" in printed
    assert "https://mirror.example" in printed


def test_names_are_unique_and_the_order_is_fixed() -> None:
    names = [check.name for check in examine()]
    assert len(set(names)) == len(names)
    assert names[0] == "python" and names[-1] == "model hub"


def test_every_check_that_is_not_ok_has_a_fix(tmp_path: Path) -> None:
    environ = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path)}
    for check in examine(config=tmp_path / "absent", environ=environ):
        assert (check.status == "ok") is (check.fix is None)


@pytest.mark.parametrize(
    ("environ", "status", "words"),
    [
        ({}, "ok", "https://huggingface.co; no token"),
        ({"HF_ENDPOINT": "huggingface.co"}, "fail", "not an address"),
        ({"HF_HUB_OFFLINE": "1"}, "warn", "there are 2"),
        ({"TRANSFORMERS_OFFLINE": "yes"}, "warn", "TRANSFORMERS_OFFLINE is set"),
        ({"HF_HUB_OFFLINE": "0"}, "ok", "not contacted"),
    ],
)
def test_the_settings_of_the_hub_are_read(
    tmp_path: Path, environ: dict[str, str], status: str, words: str
) -> None:
    for name in ("models--gpt2", "models--acme--tiny", "datasets--acme--rows"):
        (tmp_path / "hub" / name).mkdir(parents=True)
    check = hub.settings({"HF_HOME": str(tmp_path)} | environ)
    assert check.status == status
    assert words in check.found


def test_the_cache_is_where_the_client_puts_it() -> None:
    assert hub.cache_folder({"HF_HOME": "/a"}) == Path("/a/hub")
    assert hub.cache_folder({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}) == Path("/b")
    assert hub.cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")


def test_a_run_s_disk_is_that_of_its_nearest_existing_folder(tmp_path: Path) -> None:
    check = storage.disk("disk", tmp_path / "runs" / "first")
    assert "GiB free" in check.found
    (tmp_path / "file").write_text("")
    assert storage.disk("disk", tmp_path / "file" / "run").status == "fail"
