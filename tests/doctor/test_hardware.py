import pytest
import torch

from lorascope.doctor.hardware import examine, gpu, import_torch, memory, num_gpus
from lorascope.engine.memory import available_memory

GIB = 2**30


def test_a_gpu_newer_than_the_build_fails_with_where_to_get_another() -> None:
    build = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
    check = gpu("NVIDIA GeForce RTX 5090", 0, (12, 0), build, 32 * GIB)
    assert (check.name, check.status) == ("cuda:0", "fail")
    assert check.found.startswith("NVIDIA GeForce RTX 5090, 32 GiB, sm_120: the GPU is sm_120, newer than")
    assert "pytorch.org" in str(check.fix)


def test_a_gpu_older_than_the_build_fails_too() -> None:
    check = gpu("GTX 1080", 1, (6, 1), ["sm_75", "sm_80", "sm_90", "sm_120"], 8 * GIB)
    assert (check.name, check.status) == ("cuda:1", "fail")
    assert "older than" in check.found


def test_a_gpu_that_the_build_knows_is_ok() -> None:
    assert gpu("H100", 0, (9, 0), ["sm_80", "sm_90"], 80 * GIB).status == "ok"


def test_no_torch_is_a_warning_and_a_broken_one_a_failure() -> None:
    light = {check.name: check for check in examine(None, {})}
    assert light["torch"].status == "warn"
    assert light["torch"].fix == 'pip install "lorascope[train]"'
    assert set(light) == {"torch", "cpu", "memory"}
    broken = {check.name: check for check in examine(ImportError("libcudart.so.13: cannot open"), {})}
    assert broken["torch"].status == "fail"
    assert "libcudart.so.13" in broken["torch"].found


def test_this_machine_is_described() -> None:
    checks = {check.name: check for check in examine(import_torch(), {})}
    assert checks["torch"].found.startswith(torch.__version__)
    assert "auto means" in checks["precision"].found
    assert num_gpus(import_torch()) == torch.cuda.device_count()


@pytest.mark.parametrize(
    ("environ", "status", "words"),
    [
        ({}, "ok", "cores"),
        ({"OMP_NUM_THREADS": "1"}, "warn", "leaves all but one idle"),
        ({"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "no"}, "ok", "training will use"),
    ],
)
def test_idle_cores_are_noticed(environ: dict[str, str], status: str, words: str) -> None:
    check = {check.name: check for check in examine(None, environ)}["cpu"]
    if check.found.startswith("1 core"):
        pytest.skip("needs a second core")
    assert check.status == status
    assert words in check.found


def test_little_memory_is_a_warning() -> None:
    assert [memory(size).status for size in (GIB, 8 * GIB, None)] == ["warn", "ok", "ok"]
    assert (available_memory() or 1) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_each_gpu_of_this_machine_is_checked_against_the_build() -> None:
    checks = {check.name: check for check in examine(import_torch(), {})}
    assert checks["cuda:0"].status == "ok"
    assert torch.cuda.get_device_name(0) in checks["cuda:0"].found
