from pathlib import Path

import pytest

from lorascope.doctor.launcher import default_path, examine

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nnum_processes: 1\nmixed_precision: 'no'\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_config_that_is_not_there_fails_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "two_gpus.yaml", GOOD)
    check = examine(tmp_path / "two_gpu.yaml", {}, num_gpus=0)
    assert check.status == "fail"
    assert check.found == f"{tmp_path / 'two_gpu.yaml'} does not exist"
    assert 'did you mean "two_gpus.yaml"?' in str(check.fix)
    assert "accelerate config" in str(check.fix)


def test_the_variable_names_a_config_too_and_the_option_wins(tmp_path: Path) -> None:
    environ = {"ACCELERATE_CONFIG_FILE": str(tmp_path / "absent.yaml")}
    assert examine(None, environ, num_gpus=0).status == "fail"
    assert examine(write(tmp_path / "good.yaml", GOOD), environ, num_gpus=0).status == "ok"


def test_no_config_at_all_is_fine_for_one_process_and_noted_on_several_gpus(tmp_path: Path) -> None:
    environ = {"HF_HOME": str(tmp_path)}
    assert examine(None, environ, num_gpus=0).status == "ok"
    assert examine(None, environ, num_gpus=None).status == "ok"
    assert examine(None, environ, num_gpus=4).status == "warn"


def test_the_default_config_is_found_where_accelerate_looks(tmp_path: Path) -> None:
    for environ in ({"HF_HOME": str(tmp_path / "hf")}, {"XDG_CACHE_HOME": str(tmp_path / "cache")}):
        path = write(default_path(environ), GOOD)
        check = examine(None, environ, num_gpus=0)
        assert (check.status, check.found) == ("ok", f"{path}: NO, 1 process, mixed precision no")
    assert (tmp_path / "cache/huggingface/accelerate/default_config.yaml").is_file()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("distributed_type: 'NO'\n  num_processes: [", "is not valid YAML"),
        ("distributed_type: 'NO'\nnum_processes: two\n", "num_processes is 'two'"),
        ("distributed_type: 'NO'\nnum_processes: 0\n", "num_processes is 0"),
        ("num_processes: 1\n", "distributed_type is missing"),
        ("just words\n", "holds no settings"),
        ("", "holds no settings"),
        (
            "distributed_type: MULTI_GPU\nnum_processes: 4\n",
            "asks for 4 GPUs on this machine, and torch can use 0",
        ),
        (GOOD.replace("'no'", "fp16"), "mixed_precision is fp16, which needs a GPU"),
        (GOOD + "no_such_key: 1\n", "accelerate refuses it: The config file at"),
        (GOOD.replace("'NO'", "MULTI_TOASTER"), "accelerate refuses it: 'MULTI_TOASTER'"),
    ],
)
def test_a_config_that_cannot_work_fails_with_the_reason(tmp_path: Path, text: str, found: str) -> None:
    check = examine(write(tmp_path / "config.yaml", text), {}, num_gpus=0)
    assert check.status == "fail"
    assert found in check.found
    assert check.fix


def test_json_and_binary_files_are_told_apart_from_yaml(tmp_path: Path) -> None:
    assert "not valid JSON" in examine(write(tmp_path / "config.json", "{"), {}, num_gpus=0).found
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "cannot be read: UnicodeDecodeError" in examine(tmp_path / "binary.yaml", {}, num_gpus=0).found


def test_processes_on_other_machines_need_no_gpu_here(tmp_path: Path) -> None:
    text = "distributed_type: MULTI_GPU\nnum_processes: 8\nnum_machines: 2\nmachine_rank: 0\n"
    assert examine(write(tmp_path / "config.yaml", text), {}, num_gpus=4).status == "ok"
    assert examine(write(tmp_path / "config.yaml", text), {}, num_gpus=2).status == "fail"
